// The league table over time: strengths at the end of each day with votes, as lines and as a table.

import { h, svg, type Child } from "./dom";

export interface Day {
  day: string;
  votes: number;
  strengths: Record<string, number>;
}

/** Strokes that are told apart without colour. */
const DASHES = ["", "6 4", "2 3", "10 3 2 3"];

/** `systems` in the order of the table, best first. */
export function history(days: Day[], systems: string[], table: (label: string, head: string[], rows: Child[][]) => HTMLElement): Child[] {
  if (days.length < 2) return [h("p", { class: "quiet" }, "How the table changes over time shows once votes were given on a second day.")];
  const rows = [...days].reverse().map((day) => [day.day, String(day.votes), ...systems.map((name) => day.strengths[name]?.toFixed(2) ?? "–")]);
  return [
    h("h3", {}, "Over time"),
    h("p", { class: "quiet" }, "Strength at the end of each day with votes, by all votes until then; 0 is the mean of the systems there were."),
    lines(days, systems),
    table("Systems over time", ["day", "votes", ...systems], rows),
  ];
}

/** What fits beside a line, on a phone too; the table under it has whole names. */
export const brief = (name: string) => (name.length > 20 ? `${name.slice(0, 19)}…` : name);

function lines(days: Day[], systems: string[]): Child {
  const values = days.flatMap((day) => Object.values(day.strengths));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [Date.parse(days[0]!.day), Date.parse(days[days.length - 1]!.day)];
  const x = (day: Day) => 50 + (300 * (Date.parse(day.day) - first)) / (last - first);
  const y = (strength: number) => 185 - (165 * (strength - low)) / (high - low || 1);
  const shown = systems.map((name, i) => ({ name, label: brief(`${i + 1}. ${name}`), points: days.filter((day) => day.strengths[name] !== undefined) })).filter(({ points }) => points.length > 0);
  // Names beside the lines' ends, apart from each other where the ends are not.
  const ends = shown
    .map(({ name, label, points }) => ({ label, y: y(points[points.length - 1]!.strengths[name]!) }))
    .sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => (end.y = Math.max(end.y, (ends[i - 1]?.y ?? -20) + 18)));
  const bottom = Math.max(195, (ends[ends.length - 1]?.y ?? 0) + 5);
  return svg(
    "svg",
    { viewBox: `0 0 560 ${bottom + 22}`, class: "cost", role: "img", "aria-label": `Strength over time: ${shown.map(({ name, points }) => `${name} from ${points[0]!.strengths[name]!.toFixed(2)} on ${points[0]!.day} to ${points[points.length - 1]!.strengths[name]!.toFixed(2)}`).join(", ")}` },
    svg("line", { x1: 50, x2: 350, y1: bottom, y2: bottom, class: "axis" }),
    svg("line", { x1: 50, x2: 50, y1: 10, y2: bottom, class: "axis" }),
    svg("text", { x: 44, y: 24, "text-anchor": "end" }, high.toFixed(1)),
    svg("text", { x: 44, y: 189, "text-anchor": "end" }, low.toFixed(1)),
    svg("text", { x: 50, y: bottom + 17 }, days[0]!.day),
    svg("text", { x: 350, y: bottom + 17, "text-anchor": "end" }, days[days.length - 1]!.day),
    ...shown.flatMap(({ name, points }, i) => [
      svg("polyline", { points: points.map((day) => `${x(day)},${y(day.strengths[name]!)}`).join(" "), class: "course", "stroke-dasharray": DASHES[i % DASHES.length]! }),
      ...points.map((day) => svg("circle", { cx: x(day), cy: y(day.strengths[name]!), r: 3.5, class: "point" })),
    ]),
    ...ends.map((end) => svg("text", { x: 360, y: end.y + 4 }, end.label)),
  );
}
