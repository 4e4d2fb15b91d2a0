// Chooses what to show: a report that came with the page, results, a session, or the list of sessions.

import { get, Refused } from "./api";
import { h } from "./dom";
import { RatePage } from "./rate";
import { drawResults, type Results } from "./results";
import { several } from "./words";

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
    // What is gone from the sitting, every clip removed, is still told by the results.
    const left = slug && error instanceof Refused && error.status === 410 ? h("p", {}, h("a", { class: "button", href: `/s/${slug}/results` }, "Results")) : "";
    root.replaceChildren(h("h1", {}, "This cannot be shown"), h("p", { class: "message bad", role: "alert" }, error instanceof Error ? error.message : String(error)), left);
  }
}

interface Listed {
  slug: string;
  a: string;
  b: string;
  created: string;
  queued_by: string | null;
  votes: number;
  raters: number;
}

async function list(root: HTMLElement): Promise<void> {
  const found = await get<Listed[]>("/api/sessions");
  document.title = "Comparisons";
  root.replaceChildren(h("h1", {}, "Comparisons"), found.length ? h("ul", { class: "sessions" }, ...found.map(entry)) : h("p", {}, "There is none yet: rtvoice compare A B --clips DIR"));
}

function entry(s: Listed): HTMLElement {
  const far = s.votes ? `${several(s.votes, "answer")} by ${several(s.raters, "rater")}` : "waits for its first vote";
  return h(
    "li",
    { class: "card" },
    h("a", { href: `/s/${s.slug}` }, `${s.a} and ${s.b}`),
    h("p", { class: "quiet" }, `${s.created.slice(0, 10)}, ${far}${s.queued_by ? `, queued by the training ${s.queued_by}` : ""}. `, h("a", { href: `/s/${s.slug}/results` }, "Results")),
  );
}

void main();
