// Keeps what was said in the browser until the server has it: a reload or a crash of the server loses nothing.

import { reason, uid, unknown } from "./api";

export interface Sent {
  path: string;
  body: Record<string, unknown>;
}

const PREFIX = "rtvoice-out:";
/** What the comparison's own server does not know the pair of: kept, and sent again when the page is next opened. */
const ASIDE = "rtvoice-aside:";

export class Outbox {
  private sending = false;
  private timer: number | undefined;
  /** What the browser would not keep, its storage being full: it lives as long as the page. */
  private readonly unkept = new Map<string, string>();

  /** `tell` gets the number of things not yet saved, what was refused, and how many things are set aside. */
  constructor(
    private readonly slug: string,
    private readonly told: (waiting: number, refused: string | null, aside: number) => void,
  ) {
    for (const key of this.aside()) this.move(key, PREFIX + key.slice(ASIDE.length));
    window.addEventListener("online", () => void this.flush());
  }

  /** Each thing has an entry of its own, so that two tabs never overwrite each other's. */
  put(sent: Sent): void {
    const time = String(Date.now()).padStart(15, "0");
    this.keep(`${PREFIX}${this.slug}:${time}:${uid()}`, JSON.stringify(sent));
    void this.flush();
  }

  /** Keeps what is still being written under one name, and sends it when it has rested for a second. */
  draft(name: string, sent: Sent): void {
    this.keep(`${PREFIX}${this.slug}:${"9".repeat(15)}:${name}`, JSON.stringify(sent));
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.flush(), 1000);
    this.tell(this.waiting().length, null);
  }

  private keep(key: string, text: string): void {
    try {
      localStorage.setItem(key, text);
      this.unkept.delete(key);
    } catch {
      this.unkept.set(key, text);
    }
  }

  private tell(waiting: number, refused: string | null): void {
    this.told(waiting, refused, this.aside().length);
  }

  private aside(): string[] {
    const mine = (key: string) => key.startsWith(`${ASIDE}${this.slug}:`);
    return [...Object.keys(localStorage), ...this.unkept.keys()].filter(mine);
  }

  private move(from: string, to: string): void {
    const text = this.held(from);
    if (text !== null) this.keep(to, text);
    this.unkept.delete(from);
    localStorage.removeItem(from);
  }

  private held(key: string): string | null {
    return this.unkept.get(key) ?? localStorage.getItem(key);
  }

  waiting(): [string, Sent][] {
    const keys = new Set([...Object.keys(localStorage).filter((key) => key.startsWith(`${PREFIX}${this.slug}:`)), ...[...this.unkept.keys()].filter((key) => key.startsWith(PREFIX))]);
    return [...keys].sort().map((key) => [key, JSON.parse(this.held(key) ?? "null") as Sent] as [string, Sent]).filter(([, sent]) => sent);
  }

  /** Sends all of a user's answers that wait here, and tells whether they have arrived. */
  async settle(user: string): Promise<boolean> {
    const left = () => this.waiting().some(([, sent]) => sent.path.endsWith("/votes") && sent.body["user"] === user);
    if (left()) while (this.sending) await new Promise((resolve) => setTimeout(resolve, 20));
    if (left()) await this.flush();
    return !left();
  }

  /**
   * Sends in order. What the server cannot take now is tried again, and so is what it does not know: another store may answer
   * at this address until the right one is back. What is said of a pair that the comparison does not know is set aside, so that it
   * holds back nothing else; what is refused for its content is told and dropped.
   */
  async flush(): Promise<boolean> {
    if (this.sending) return false;
    this.sending = true;
    window.clearTimeout(this.timer);
    let refused: string | null = null;
    try {
      for (let next = this.waiting()[0]; next; next = this.waiting()[0]) {
        const [key, sent] = next;
        const held = this.held(key);
        this.tell(this.waiting().length, null);
        const answer = await fetch(sent.path, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(sent.body),
        });
        if (answer.status === 404 && (await unknown(answer.clone())) === "trial") {
          this.move(key, ASIDE + key.slice(PREFIX.length));
          continue;
        }
        if (answer.status >= 500 || [401, 403, 404, 421].includes(answer.status)) {
          if (answer.status < 500) refused = await reason(answer);
          throw new Error("not now");
        }
        if (!answer.ok) refused = await reason(answer);
        // A draft may have grown while it was on its way.
        if (this.held(key) !== held) continue;
        this.unkept.delete(key);
        localStorage.removeItem(key);
      }
      this.tell(0, refused);
      return true;
    } catch {
      this.tell(this.waiting().length, refused);
      this.timer = window.setTimeout(() => void this.flush(), 1000);
      return false;
    } finally {
      this.sending = false;
    }
  }
}
