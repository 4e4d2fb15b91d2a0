// The words of the pages: answers with their keys, the ABX test's question, the list of keys, counts of things.

import type { Answer, Dimension } from "./api";

export const ANSWERS: [Answer, string, string][] = [
  ["1", "Model 1", "1"],
  ["2", "Model 2", "2"],
  ["both", "Both", "3"],
  ["skip", "Skip", "4"],
];

export const ABX: Dimension = { key: "abx", label: "Which one is X?", definition: "X is Model 1 or Model 2.", weight: 1, match_loudness: true };

/** "1 vote", "2 votes". */
export const several = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

export const KEYS: [string, string][] = [
  ["Space", "play, pause"],
  ["← →", "listen to Model 1, Model 2"],
  ["x", "the other model (in ABX: X)"],
  ["i, t", "listen to the input, the target voice"],
  ["↑ ↓", "row before, row after"],
  ["1 2 3 4", "Model 1, Model 2, both, skip"],
  ["Enter, n", "next clip"],
  ["p", "clip before"],
  ["u", "next clip that is not rated"],
  ["l", "loop on, off"],
  ["[ ]", "loop starts here, ends here; \\ takes the region away"],
  [", .", "a second back, ahead"],
  ["+ −", "louder, softer"],
  ["r", "a switch starts from the beginning, or goes on"],
  ["f", "flag the clip"],
  ["s", "save ratings"],
  ["?", "these keys"],
];
