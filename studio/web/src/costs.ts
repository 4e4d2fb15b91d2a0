// What systems cost beside how good they are. Times on different processors do not compare: each machine has a column and a chart.

import { h, svg, type Child } from "./dom";
import { brief } from "./history";

interface Cost {
  p50_us: number;
  p99_us: number;
  cpu: string;
  isa: string;
}

export interface Costly {
  system: string;
  strength: number;
  low: number;
  high: number;
  costs: Cost[];
}

type Known = Costly & { cost: Cost; rank: number };

const machineOf = (cost: Cost) => `${cost.cpu} (${cost.isa})`;

/** Every machine that something was measured on, first where most was. */
export function machines(systems: Costly[]): string[] {
  const counted = new Map<string, number>();
  for (const { costs } of systems) for (const cost of costs) counted.set(machineOf(cost), (counted.get(machineOf(cost)) ?? 0) + 1);
  return [...counted].sort((one, other) => other[1] - one[1]).map(([machine]) => machine);
}

const on = (system: Costly, machine: string) => system.costs.find((cost) => machineOf(cost) === machine);

export function costOn(system: Costly, machine: string): string {
  const cost = on(system, machine);
  return cost ? `${cost.p50_us.toFixed(0)} / ${cost.p99_us.toFixed(0)} µs` : "–";
}

/** A chart for each machine, or why there is none. */
export function charts(systems: Costly[]): Child[] {
  if (systems.length === 0) return [];
  const found = machines(systems);
  if (found.length === 0) return [h("p", { class: "quiet" }, "What these systems cost is not known: recordings have no cost, and models are measured while their page is served.")];
  return found.map((machine) => {
    const known = systems.flatMap((system, i): Known[] => {
      const cost = on(system, machine);
      return cost ? [{ ...system, cost, rank: i + 1 }] : [];
    });
    const lacking = systems.filter((system) => !on(system, machine)).map((system) => system.system);
    if (known.length > 1) return chart(machine, known, lacking);
    return h("p", { class: "quiet" }, `No chart of quality against cost on ${machine}: of these systems only ${known[0]!.system} was measured there, and times on two machines do not compare. rtvoice compare --costs FILE takes what rtvoice-bench --json prints there.`);
  });
}

function chart(machine: string, known: Known[], lacking: string[]): Child {
  const most = Math.max(...known.map((s) => s.cost.p99_us)) * 1.1;
  const low = Math.min(...known.map((s) => s.low));
  const high = Math.max(...known.map((s) => s.high));
  const x = (us: number) => 50 + (290 * us) / most;
  const y = (strength: number) => 185 - (165 * (strength - low)) / (high - low || 1);
  // Each dot has its rank in the table above, and a column its name: a line to it would run through other dots.
  const bottom = Math.max(195, 15 + 20 * known.length);
  const tags: { x: number; y: number; text: string }[] = [];
  for (const s of known) {
    const at = { x: x(s.cost.p50_us) + 7, y: y(s.strength) - 7, text: String(s.rank) };
    const near = tags.find((tag) => Math.abs(tag.x - at.x) < 8 + 6 * tag.text.length && Math.abs(tag.y - at.y) < 14);
    if (near) near.text += `, ${at.text}`;
    else tags.push(at);
  }
  return h(
    "figure",
    {},
    h(
      "figcaption",
      {},
      `Quality against cost on ${machine}: strength with its interval (up) by the time of a 10 ms frame as rtvoice-bench measures it, from its median, the dot with the system's place in the table, to its 99th percentile (right).${lacking.length ? ` Not measured there: ${lacking.join(", ")}.` : ""}`,
    ),
    svg(
      "svg",
      { viewBox: `0 0 560 ${bottom + 25}`, class: "cost", role: "img", "aria-label": `Strength against time of a frame on ${machine}: ${known.map((s) => `${s.system} ${s.strength.toFixed(2)} at ${s.cost.p50_us.toFixed(0)} µs`).join(", ")}` },
      svg("line", { x1: 50, x2: 340, y1: bottom, y2: bottom, class: "axis" }),
      svg("line", { x1: 50, x2: 50, y1: 10, y2: bottom, class: "axis" }),
      svg("text", { x: 340, y: bottom + 17, "text-anchor": "end" }, `${most.toFixed(0)} µs`),
      svg("text", { x: 50, y: bottom + 17 }, "0"),
      svg("text", { x: 44, y: 24, "text-anchor": "end" }, high.toFixed(1)),
      svg("text", { x: 44, y: 189, "text-anchor": "end" }, low.toFixed(1)),
      ...known.flatMap((s) => [
        svg("line", { x1: x(s.cost.p50_us), x2: x(s.cost.p50_us), y1: y(s.low), y2: y(s.high), class: "interval" }),
        svg("line", { x1: x(s.cost.p50_us), x2: x(s.cost.p99_us), y1: y(s.strength), y2: y(s.strength), class: "interval" }),
      ]),
      ...known.map((s) => svg("circle", { cx: x(s.cost.p50_us), cy: y(s.strength), r: 5, class: "point" })),
      ...tags.map((tag) => svg("text", { x: tag.x, y: tag.y, class: "tag" }, tag.text)),
      ...known.map((s, i) => svg("text", { x: 354, y: 24 + 20 * i, class: "name" }, brief(`${s.rank}. ${s.system}`))),
    ),
  );
}
