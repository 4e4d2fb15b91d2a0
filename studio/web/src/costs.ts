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

type Known = Costly & { cost: Cost };

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
  const found = machines(systems);
  if (found.length === 0) return [h("p", { class: "quiet" }, "What these systems cost is not known: recordings have no cost, and models are measured while their page is served.")];
  return found.map((machine) => {
    const known = systems.flatMap((system): Known[] => {
      const cost = on(system, machine);
      return cost ? [{ ...system, cost }] : [];
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
  // Names in a column of their own, apart from each other where the systems are not, each with a line to its system.
  const names = known.map((s) => ({ s, y: y(s.strength) })).sort((a, b) => a.y - b.y);
  names.forEach((name, i) => (name.y = Math.max(name.y, (names[i - 1]?.y ?? -20) + 20)));
  const bottom = Math.max(195, (names[names.length - 1]?.y ?? 0) + 5);
  return h(
    "figure",
    {},
    h(
      "figcaption",
      {},
      `Quality against cost on ${machine}: strength with its interval (up) by the time of a 10 ms frame as rtvoice-bench measures it, from its median, the dot, to its 99th percentile (right).${lacking.length ? ` Not measured there: ${lacking.join(", ")}.` : ""}`,
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
        svg("circle", { cx: x(s.cost.p50_us), cy: y(s.strength), r: 5, class: "point" }),
      ]),
      ...names.flatMap((name) => [
        svg("line", { x1: x(name.s.cost.p99_us) + 4, x2: 350, y1: y(name.s.strength), y2: name.y, class: "axis" }),
        svg("text", { x: 354, y: name.y + 4, class: "name" }, brief(name.s.system)),
      ]),
    ),
  );
}
