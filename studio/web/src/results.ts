// The results page: what all votes say, served or as a report in one file.

import { charts, costOn, machines, type Costly } from "./costs";
import { h, svg, type Child } from "./dom";
import { history, type Day } from "./history";
import { several } from "./words";

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
  /** Whose share lies where, in words. */
  interval: string | null;
  score_b: number;
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

interface Standing extends Costly {
  /** Whether its votes are enough to stand somewhere among the others. */
  placed: boolean;
  wins: number;
  losses: number;
  ties: number;
}

export interface Results {
  session: string;
  created: string;
  a: { name: string };
  b: { name: string };
  mode: "rows" | "passes" | "abx";
  /** Which of the two is the one to beat. */
  baseline: "a" | "b" | null;
  clips: number;
  /** Which sides were brought to another rate, in words. */
  resampled: string | null;
  removed: { name: string; reason: string }[];
  raters: string[];
  votes: number;
  for_checks: number;
  not_blind: number;
  /** What a meeting reads out. */
  words: string[];
  dimensions: Row[];
  whom: string | null;
  order_words: string;
  consistency: { pairs: number; answers: number; same: number; by_chance: number | null };
  agreement: { alpha: number | null; clips: number; raters: number };
  traps: { pairs: number; answers: number; right: number; failed_by: string[] };
  abx: { trials: number; words: string };
  measures: { rows: Measure[]; unavailable: Record<string, string>; clips: number; words: Record<string, string> } | null;
  league: { standings: Standing[]; groups: string[][]; whom: string | null; history: Day[] } | null;
  notes: { rater: string; clip: string; about: string; text: string }[];
}

const percent = (value: number) => `${Math.round(100 * value)} %`;

/** What of the votes the table below leaves out. */
function forChecks({ votes, for_checks: some, mode }: Results): string {
  const what = mode === "abx" ? "pairs of twice the same audio" : "pairs shown twice or of twice the same audio";
  return some ? `; ${some} of these ${votes}, on ${what}, are checks and count in no share` : "";
}

export function drawResults(root: HTMLElement, told: Results, served: boolean): void {
  document.title = `${told.a.name} and ${told.b.name} · results`;
  const { a, b } = told;
  // In an ABX test no row is asked about.
  const asked = told.dimensions.filter((row) => told.mode !== "abx" || row.low !== null);
  root.replaceChildren(
    h("header", {}, h("h1", {}, `${a.name} and ${b.name}`), h("p", { class: "quiet" }, `${several(told.votes, "vote")} by ${several(told.raters.length, "rater")} on ${several(told.clips, "clip")}, begun ${told.created.slice(0, 10)}${forChecks(told)}`), told.baseline ? h("p", { class: "quiet" }, `The one to beat: ${told[told.baseline].name}.`) : "", told.resampled ? h("p", { class: "quiet" }, `Recordings were ${told.resampled}.`) : ""),
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
    h("section", { class: "card" }, h("h2", {}, "In words"), h("ul", {}, ...told.words.map((words) => h("li", {}, words))), told.whom ? h("p", { class: "quiet" }, told.whom) : ""),
    asked.length === 0 ? "" : h(
      "section",
      { class: "card" },
      h("h2", {}, "Win share"),
      h("p", { class: "quiet" }, `Left of the middle ${a.name} wins, right of it ${b.name}; the bar is the 95 % interval.`),
      table(
        "Win share",
        ["row", `${a.name}`, "share", `${b.name}`, "ties", "skips", "95 % interval"],
        asked.map((row) => [
          row.label + (row.weight > 1 ? ` (score ${row.score_b > 0 ? "+" : ""}${row.score_b} for ${b.name})` : ""),
          String(row.wins_a),
          bar(row),
          String(row.wins_b),
          String(row.ties),
          String(row.skips),
          row.interval ?? "–",
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
  const { consistency: c, agreement: g, traps: t, not_blind } = told;
  const chance = c.by_chance === null ? "" : `; by chance ${percent(c.by_chance)}`;
  const both = `Agreement of ${several(g.raters, "rater")} on ${several(g.clips, "clip")}`;
  const found = [
    told.order_words,
    c.answers ? `${several(c.pairs, "pair")} shown twice: ${c.same} of ${several(c.answers, "answer")} the same (${percent(c.same / c.answers)}${chance}).` : "No pair has been answered twice yet.",
    t.answers
      ? `${several(t.pairs, "pair")} of twice the same audio: ${t.right} of ${several(t.answers, "answer")} found both equal.${t.failed_by.length ? ` More often wrong than right: ${t.failed_by.join(", ")}.` : ""}`
      : "No pair of twice the same audio has been answered yet.",
    g.clips === 0
      ? "Agreement of raters: no clip has been rated by two yet."
      : g.alpha === null
        ? `${both}: every answer is the same, so Krippendorff's alpha has no chance to compare with.`
        : `${both}: Krippendorff's alpha ${g.alpha.toFixed(2)} (1 all agree, 0 chance).`,
  ];
  // An ABX test asks for none of these.
  const kept = told.mode === "abx" ? ["X is drawn for each pair, so who guesses is right half of the time, whichever side he likes."] : found;
  if (not_blind) kept.push(`${several(not_blind, "answer")} given while the models' names showed, which ${not_blind === 1 ? "does" : "do"} not count.`);
  return kept;
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
    `${measured.words[m.name] ?? m.name}${m.low_is_good ? " (low is good)" : ""}`,
    ...(["a", "b"] as const).map((side) => h(m.better === side ? "strong" : "span", {}, m[side].toFixed(2))),
    m.source === null ? "–" : m.source.toFixed(2),
    ...told.dimensions.map((d) => correlation(m.votes[d.key])),
  ]);
  const lacking = Object.entries(measured.unavailable).map(([name, why]) => h("li", {}, `${measured.words[name] ?? name}: ${why}`));
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
  const where = machines(told.standings);
  const rows = told.standings.map((s, i) => [
    s.placed ? `${i + 1}. ${s.system}` : `${s.system} (too few votes)`,
    s.placed ? s.strength.toFixed(2) : "–",
    s.placed ? `${s.low.toFixed(2)} to ${s.high.toFixed(2)}` : "–",
    `${s.wins} / ${s.ties} / ${s.losses}`,
    ...where.map((machine) => costOn(s, machine)),
  ]);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "All systems ever compared"),
    h("p", { class: "quiet" }, "Strength in log odds along each session's first row: 0 is the mean system, a lead of 1.1 wins three of four decisive votes."),
    table("Systems", ["system", "strength", "95 % interval", "won / tied / lost", ...where.map((machine) => `10 ms frame on ${machine}, p50 / p99`)], rows),
    told.whom ? h("p", { class: "quiet" }, told.whom) : "",
    told.groups.length > 1 ? h("p", {}, `No chain of comparisons joins these groups, so their strengths do not compare: ${told.groups.map((g) => g.join(", ")).join(" | ")}.`) : "",
    ...history(told.history, told.standings.map((s) => s.system), table),
    ...charts(told.standings.filter((s) => s.placed)),
  );
}
