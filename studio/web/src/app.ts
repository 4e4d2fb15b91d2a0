// Chooses what to show: a report that came with the page, results, a session, or the list of sessions.

import { get } from "./api";
import { h } from "./dom";
import { RatePage } from "./rate";
import { drawResults, type Results } from "./results";

async function main(): Promise<void> {
  const root = document.getElementById("app")!;
  const report = document.getElementById("report");
  if (report) return drawResults(root, JSON.parse(report.textContent ?? "") as Results, false);
  const [, , slug, page] = location.pathname.split("/");
  try {
    if (slug && page === "results") drawResults(root, await get<Results>(`/api/s/${slug}/results`), true);
    else if (slug) await new RatePage(root, slug).start();
    else await list(root);
  } catch (error) {
    root.replaceChildren(h("h1", {}, "This cannot be shown"), h("p", { class: "message bad", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
}

async function list(root: HTMLElement): Promise<void> {
  const found = await get<{ slug: string; a: string; b: string; created: string }[]>("/api/sessions");
  const rows = found.map((s) => h("li", {}, h("a", { href: `/s/${s.slug}` }, `${s.a} and ${s.b}`), ` ${s.created.slice(0, 10)} `, h("a", { href: `/s/${s.slug}/results` }, "results")));
  document.title = "Comparisons";
  root.replaceChildren(h("h1", {}, "Comparisons"), found.length ? h("ul", {}, ...rows) : h("p", {}, "There is none yet: rtvoice compare A B --clips DIR"));
}

void main();
