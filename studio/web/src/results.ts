// The results page: what all votes say, served or as a report in one file.

import { h, svg, type Child } from "./dom";
import { history, type Day } from "./history";

interface Row {
  key: string;
  label: string;
  weight: number;
  wins_a: number;
  wins_b: number;
  ties: number;
  skips: number;
  share: number | null;
  low: number | null;
  high: number | null;
  score_b: number;
  raters: number;
  clips: number;
  words: string;
}

interface Cost {
  p50_us: number;
  p99_us: number;
  cpu: string;
  isa: string;
}

interface Correlation {
  rho: number | null;
  low: number | null;
  high: number | null;
  clips: number;
}

interface Measure {
  name: string;
  low_is_good: boolean;
  a: number;
  b: number;
  source: number | null;
  better: "a" | "b" | null;
  votes: Record<string, Correlation>;
}

interface Standing {
  system: string;
  strength: number;
  low: number;
  high: number;
  wins: number;
  losses: number;
  ties: number;
  cost: Cost | null;
}

export interface Results {
  session: string;
  created: string;
  a: { name: string };
  b: { name: string };
  baseline: string | null;
  clips: number;
  /** Which sides were brought to another rate, in words. */
  resampled: string | null;
  removed: { name: string; reason: string }[];
  raters: string[];
  votes: number;
  not_blind: number;
  dimensions: Row[];
  whom: string | null;
  order_words: string;
  consistency: { pairs: number; same: number; by_chance: number | null };
  agreement: { alpha: number | null; clips: number; raters: number };
  traps: { shown: number; right: number; failed_by: string[] };
  abx: { trials: number; right: number; p: number };
  measures: { rows: Measure[]; unavailable: Record<string, string>; clips: number } | null;
  league: { standings: Standing[]; groups: string[][]; history: Day[] } | null;
  notes: { rater: string; clip: string; about: string; text: string }[];
}

const percent = (value: number) => `${Math.round(100 * value)} %`;

export function drawResults(root: HTMLElement, told: Results, served: boolean): void {
  document.title = `${told.a.name} and ${told.b.name} · results`;
  const { a, b } = told;
  root.replaceChildren(
    h("header", {}, h("h1", {}, `${a.name} and ${b.name}`), h("p", { class: "quiet" }, `${told.votes} votes by ${told.raters.length} raters on ${told.clips} clips, begun ${told.created.slice(0, 10)}`), told.resampled ? h("p", { class: "quiet" }, `Recordings were ${told.resampled}.`) : ""),
    served &&
      h(
        "div",
        { class: "buttons" },
        h("a", { class: "button", href: `/s/${told.session}` }, "Rate"),
        h("a", { class: "button", href: `/api/s/${told.session}/votes.csv` }, "All votes as CSV"),
        h("a", { class: "button", href: `/api/s/${told.session}/votes.csv?counted=1` }, "Counted votes as CSV"),
        h("a", { class: "button", href: `/api/s/${told.session}/votes.json` }, "All votes as JSON"),
        h("a", { class: "button", href: `/api/s/${told.session}/remarks.csv` }, "Notes and flags as CSV"),
        h("a", { class: "button", href: `/api/s/${told.session}/remarks.json` }, "Notes and flags as JSON"),
        h("a", { class: "button", href: `/api/s/${told.session}/results` }, "Results as JSON"),
      ) || "",
    h("section", { class: "card" }, h("h2", {}, "In words"), h("ul", {}, ...told.dimensions.map((row) => h("li", {}, row.words))), told.whom ? h("p", { class: "quiet" }, told.whom) : ""),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Win share"),
      h("p", { class: "quiet" }, `Left of the middle ${a.name} wins, right of it ${b.name}; the bar is the 95 % interval.`),
      table(
        "Win share",
        ["row", `${a.name}`, "share", `${b.name}`, "ties", "skips", "interval"],
        told.dimensions.map((row) => [
          row.label + (row.weight > 1 ? ` (score ${row.score_b > 0 ? "+" : ""}${row.score_b} for ${b.name})` : ""),
          String(row.wins_a),
          bar(row),
          String(row.wins_b),
          String(row.ties),
          String(row.skips),
          row.low === null || row.high === null ? "–" : `${Math.round(100 * row.low)} to ${percent(row.high)}`,
        ]),
      ),
    ),
    h("section", { class: "card" }, h("h2", {}, "Can the votes be trusted?"), h("ul", {}, ...checks(told).map((words) => h("li", {}, words)))),
    told.measures ? measures(told, told.measures) : "",
    told.league ? league(told.league) : "",
    told.notes.length
      ? h("section", { class: "card notes" }, h("h2", {}, "Notes"), table("Notes", ["clip", "about", "by", "note"], told.notes.map((n) => [n.clip, n.about, n.rater, n.text])))
      : "",
    told.removed.length
      ? h("section", { class: "card" }, h("h2", {}, "Removed clips"), table("Removed clips", ["clip", "reason"], told.removed.map((c) => [c.name, c.reason])))
      : "",
  );
}

function checks(told: Results): string[] {
  const { consistency: c, agreement: g, traps: t, abx, not_blind } = told;
  const found = [told.order_words];
  const chance = c.by_chance === null ? "" : `; by chance ${percent(c.by_chance)}`;
  found.push(c.pairs ? `Pairs shown twice got the same answer ${c.same} of ${c.pairs} times (${percent(c.same / c.pairs)}${chance}).` : "No pair has been answered twice yet.");
  found.push(
    t.shown
      ? `Pairs of twice the same audio were found equal ${t.right} of ${t.shown} times.${t.failed_by.length ? ` More often wrong than right: ${t.failed_by.join(", ")}.` : ""}`
      : "No pair of twice the same audio has been answered yet.",
  );
  found.push(g.alpha === null ? "Agreement of raters: no clip has been rated by two yet." : `Agreement of ${g.raters} raters on ${g.clips} clips: Krippendorff's alpha ${g.alpha.toFixed(2)} (1 all agree, 0 chance).`);
  if (abx.trials) found.push(`ABX: X was named rightly ${abx.right} of ${abx.trials} times (p = ${abx.p.toPrecision(2)}).`);
  if (not_blind) found.push(`${not_blind} answers were given while the models' names showed; they do not count.`);
  return found;
}

function table(label: string, head: string[], rows: Child[][]): HTMLElement {
  return h(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": label },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...head.map((words) => h("th", { scope: "col" }, words)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, i) => (i === 0 ? h("th", { scope: "row" }, cell) : h("td", {}, cell)))))),
    ),
  );
}

function bar(row: Row): Child {
  if (row.share === null || row.low === null || row.high === null) return "–";
  const x = (value: number) => 4 + 152 * value;
  const decided = row.low > 0.5 || row.high < 0.5;
  return svg(
    "svg",
    { viewBox: "0 0 160 20", class: "share", role: "img", "aria-label": `${percent(row.share)}, ${percent(row.low)} to ${percent(row.high)}` },
    svg("line", { x1: x(0), x2: x(1), y1: 10, y2: 10, class: "axis" }),
    svg("line", { x1: x(0.5), x2: x(0.5), y1: 2, y2: 18, class: "axis" }),
    svg("line", { x1: x(row.low), x2: x(row.high), y1: 10, y2: 10, class: decided ? "interval decided" : "interval" }),
    svg("circle", { cx: x(row.share), cy: 10, r: 4, class: "point" }),
  );
}

function measures(told: Results, measured: NonNullable<Results["measures"]>): HTMLElement {
  const rows = measured.rows.map((m) => [
    `${m.name.replaceAll("_", " ")}${m.low_is_good ? " (low is good)" : ""}`,
    ...(["a", "b"] as const).map((side) => h(m.better === side ? "strong" : "span", {}, m[side].toFixed(2))),
    m.source === null ? "–" : m.source.toFixed(2),
    ...told.dimensions.map((d) => correlation(m.votes[d.key])),
  ]);
  const lacking = Object.entries(measured.unavailable).map(([name, why]) => h("li", {}, `${name}: ${why}`));
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Measures beside the votes"),
    h(
      "p",
      { class: "quiet" },
      `What rtvoice evaluate measures in the ${measured.clips} clips; bold is better. Then, for each row of the page, the rank correlation over clips between what the measure says of a pair and what its votes say: 1 is the same order, 0 none, with the 95 % interval; bold is one that leaves out 0, as one in twenty does by chance.`,
    ),
    table("Measures", ["measure", told.a.name, told.b.name, "input", ...told.dimensions.map((d) => d.label)], rows),
    lacking.length ? h("details", {}, h("summary", {}, "Not measured"), h("ul", {}, ...lacking)) : "",
  );
}

function correlation(found: Correlation | undefined): Child {
  if (!found || found.rho === null || found.low === null || found.high === null) return "–";
  const words = `${found.rho.toFixed(2)} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`;
  return h(found.low > 0 || found.high < 0 ? "strong" : "span", {}, words);
}

function league(told: NonNullable<Results["league"]>): HTMLElement {
  const rows = told.standings.map((s, i) => [
    `${i + 1}. ${s.system}`,
    s.strength.toFixed(2),
    `${s.low.toFixed(2)} to ${s.high.toFixed(2)}`,
    `${s.wins} / ${s.ties} / ${s.losses}`,
    s.cost ? `${s.cost.p50_us.toFixed(0)} / ${s.cost.p99_us.toFixed(0)} µs` : "–",
  ]);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "All systems ever compared"),
    h("p", { class: "quiet" }, "Strength in log odds along each session's first row: 0 is the mean system, a lead of 1.1 wins three of four decisive votes."),
    table("Systems", ["system", "strength", "95 % interval", "won / tied / lost", "10 ms frame, p50 / p99"], rows),
    told.groups.length > 1 ? h("p", {}, `No chain of comparisons joins these groups, so their strengths do not compare: ${told.groups.map((g) => g.join(", ")).join(" | ")}.`) : "",
    ...history(told.history, told.standings.map((s) => s.system), table),
    ...costs(told.standings),
  );
}

/** A chart for each machine: times on different processors do not compare. */
function costs(standings: Standing[]): Child[] {
  const machines = new Map<string, (Standing & { cost: Cost })[]>();
  for (const standing of standings) {
    if (!standing.cost) continue;
    const where = `${standing.cost.cpu} (${standing.cost.isa})`;
    machines.set(where, [...(machines.get(where) ?? []), standing as Standing & { cost: Cost }]);
  }
  return [...machines].filter(([, known]) => known.length > 1).map(([where, known]) => chart(where, known));
}

function chart(where: string, known: (Standing & { cost: Cost })[]): Child {
  const most = Math.max(...known.map((s) => s.cost.p99_us)) * 1.1;
  const low = Math.min(...known.map((s) => s.low));
  const high = Math.max(...known.map((s) => s.high));
  const x = (us: number) => 50 + (330 * us) / most;
  const y = (strength: number) => 185 - (165 * (strength - low)) / (high - low || 1);
  return h(
    "figure",
    {},
    h("figcaption", {}, `Quality against cost on ${where}: strength with its interval (up) by the time of a 10 ms frame as rtvoice-bench measures it, from its median, the dot, to its 99th percentile (right)`),
    svg(
      "svg",
      { viewBox: "0 0 560 220", class: "cost", role: "img", "aria-label": `Strength against time of a frame: ${known.map((s) => `${s.system} ${s.strength.toFixed(2)} at ${s.cost.p50_us.toFixed(0)} µs`).join(", ")}` },
      svg("line", { x1: 50, x2: 550, y1: 195, y2: 195, class: "axis" }),
      svg("line", { x1: 50, x2: 50, y1: 10, y2: 195, class: "axis" }),
      svg("text", { x: 380, y: 212, "text-anchor": "end" }, `${most.toFixed(0)} µs`),
      svg("text", { x: 50, y: 212 }, "0"),
      svg("text", { x: 44, y: 24, "text-anchor": "end" }, high.toFixed(1)),
      svg("text", { x: 44, y: 189, "text-anchor": "end" }, low.toFixed(1)),
      ...known.flatMap((s) => [
        svg("line", { x1: x(s.cost.p50_us), x2: x(s.cost.p50_us), y1: y(s.low), y2: y(s.high), class: "interval" }),
        svg("line", { x1: x(s.cost.p50_us), x2: x(s.cost.p99_us), y1: y(s.strength), y2: y(s.strength), class: "interval" }),
        svg("circle", { cx: x(s.cost.p50_us), cy: y(s.strength), r: 5, class: "point" }),
        svg("text", { x: x(s.cost.p99_us) + 8, y: y(s.strength) + 4 }, s.system),
      ]),
    ),
  );
}
