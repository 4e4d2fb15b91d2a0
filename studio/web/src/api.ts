// What the server tells and takes; see studio/src/rtvoice_studio/server.py.

export type Answer = "1" | "2" | "both" | "skip";
export type Listen = "1" | "2" | "x" | "input" | "target";

export interface Dimension {
  key: string;
  label: string;
  definition: string;
  weight: number;
  match_loudness: boolean;
}

export interface Trial {
  id: string;
  seconds: number;
  rate: number;
  clean: boolean;
  removed: boolean;
  references: ("input" | "target")[];
  answers: Record<string, Answer>;
  notes: Record<string, string>;
  names?: Record<string, string>;
  clip?: string;
}

export interface Session {
  slug: string;
  user: string;
  mode: "rows" | "passes" | "abx";
  blind: boolean;
  /** Whether this user was ever told which is which: his votes do not count from then on. */
  seen: boolean;
  heardSeconds: number;
  dimensions: Dimension[];
  trials: Trial[];
  /** Where a link leads: a trial of the plan, or `linked`. */
  start: string | null;
  /** A clip that a link leads to and that is none of the plan. */
  linked: Trial | null;
  version: string;
}

export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Refused(await reason(answer), answer.status);
  return (await answer.json()) as T;
}

export async function reason(answer: Response): Promise<string> {
  try {
    return ((await answer.json()) as { error: string }).error;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

/** What a refusal says is not there, `"trial"`, where all else is known. */
export async function unknown(answer: Response): Promise<string | null> {
  try {
    return ((await answer.json()) as { unknown?: string }).unknown ?? null;
  } catch {
    return null;
  }
}

/** A UUID also where the page is not served securely, as from another machine of a local network. */
export function uid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 15) | 64;
  bytes[8] = (bytes[8]! & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
