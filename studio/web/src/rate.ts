// The page on which clips are heard and rated.

import { get, Refused, uid, type Answer, type Dimension, type Listen, type Session, type Trial } from "./api";
import { ask, confirm, h, show } from "./dom";
import { Outbox } from "./outbox";
import { Player } from "./player";
import { Plots } from "./plots";
import { ABX, ANSWERS, KEYS, several } from "./words";

const OWN_FILE = "A recording of your own is loaded: go back to the pair to rate.";

interface Step {
  trial: Trial;
  dimensions: Dimension[];
}

export class RatePage {
  private session!: Session;
  private steps: Step[] = [];
  private at = 0;
  /** A clip that a link led to, outside the sitting: heard like any other, counted nowhere. */
  private linked: Step | null = null;
  private link: string | null = null;
  private row = 0;
  private opened = false;
  private shownAt = 0;
  private entries = 0;
  private readonly durations: number[] = [];
  private readonly player = new Player(() => this.refresh());
  private readonly outbox: Outbox;
  private readonly plots = new Plots();
  private saved = "";
  private error = "";
  private live: { [name: string]: HTMLElement } = {};

  constructor(
    private readonly root: HTMLElement,
    private readonly slug: string,
  ) {
    this.outbox = new Outbox(slug, (waiting, refused, aside) => {
      const rest = aside ? `; ${several(aside, "answer")} set aside: the server does not know the pair. It stays in this browser and is sent again when the page is opened` : "";
      this.saved = refused ? (waiting ? `${waiting} not saved yet, kept in this browser: ${refused}` : `Refused: ${refused}`) : (waiting ? `${waiting} not saved yet` : aside ? "All others saved" : "All saved") + rest;
      this.refresh();
    });
  }

  async start(): Promise<void> {
    let user = localStorage.getItem("rtvoice-user");
    const known = user !== null;
    while (!user) {
      user = await ask("Who is listening?", "Your name stands with your votes, so that several people can rate at once.", "Name", "", 60);
    }
    const shared = new URLSearchParams(location.search).get("clip");
    // Before the first clip's sounds are there, too: what shows can be used.
    document.addEventListener("keydown", (event) => this.key(event));
    // Kept only when the server has taken it: a name that it refuses would otherwise be refused at every visit.
    for (let refusal: string | null = ""; refusal !== null; ) {
      try {
        await this.load(user, shared);
        refusal = null;
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 400) throw error;
        refusal = error.message;
        user = null;
        while (!user) user = await ask("Who is listening?", refusal, "Name", "", 60);
      }
    }
    localStorage.setItem("rtvoice-user", user);
    if (shared && !this.session.start) {
      this.error = "This link leads to no clip of this comparison; your sitting is shown.";
      this.refresh();
    }
    if (!known) this.greet();
    void this.outbox.flush();
  }

  /** Two people of one name would answer in one plan, the later one over the earlier. */
  private greet(): void {
    if (!this.session.trials.some((trial) => Object.keys(trial.answers).length > 0)) return;
    this.error = `${this.session.user} has answered here before and goes on from there. If that was somebody else, click the name above and take another.`;
    this.refresh();
  }

  /** Asks for a user's plan, and shows the clip of a link, or the step `stay`, or the first that is not rated. */
  private async load(user: string, shared: string | null, stay: number | null = null): Promise<void> {
    const query = new URLSearchParams({ user });
    if (shared) query.set("clip", shared);
    if (this.opened) query.set("open", "1");
    const session = await get<Session>(`/api/s/${this.slug}?${query}`);
    if (session.trials.length === 0 && !session.linked) throw new Refused("Every clip of this comparison was removed; there is nothing to rate.", 410);
    // Keys of rows are anybody's words: "constructor" is no answer that every object has.
    for (const trial of session.trials) trial.answers = Object.assign(Object.create(null), trial.answers);
    this.session = session;
    this.link = shared;
    this.mergeWaiting();
    this.makeSteps();
    this.linked = session.linked && { trial: session.linked, dimensions: session.mode === "abx" ? [ABX] : session.dimensions };
    const first = this.steps.findIndex((step) => step.trial.id === this.session.start);
    const open = this.steps.findIndex((step) => !this.done(step));
    this.at = stay ?? Math.max(0, first >= 0 ? first : open);
    await this.enter();
  }

  /** What this browser said and the server does not have yet is shown as said. */
  private mergeWaiting(): void {
    for (const [, sent] of this.outbox.waiting()) {
      const trial = [this.session.linked, ...this.session.trials].find((t) => t?.id === sent.body["trial"]);
      if (!trial || sent.body["user"] !== this.session.user) continue;
      if (sent.path.endsWith("/votes")) {
        for (const vote of sent.body["votes"] as { dimension: string; side: Answer }[]) trial.answers[vote.dimension] = vote.side;
      } else if (sent.path.endsWith("/notes")) {
        trial.notes[sent.body["side"] as string] = sent.body["text"] as string;
      } else if (sent.path.endsWith("/flags")) trial.removed = sent.body["removed"] as boolean;
    }
  }

  private makeSteps(): void {
    const { mode, dimensions, trials } = this.session;
    if (mode === "passes") this.steps = dimensions.flatMap((dimension) => trials.map((trial) => ({ trial, dimensions: [dimension] })));
    else this.steps = trials.map((trial) => ({ trial, dimensions: mode === "abx" ? [ABX] : dimensions }));
  }

  private get step(): Step {
    return this.linked ?? this.steps[this.at]!;
  }

  private done(step: Step): boolean {
    return step.trial.removed || step.dimensions.every((dimension) => step.trial.answers[dimension.key] !== undefined);
  }

  private async enter(): Promise<void> {
    this.player.clear();
    this.row = 0;
    this.error = "";
    this.shownAt = performance.now();
    this.draw();
    const names: Listen[] = ["1", "2", ...(this.session.mode === "abx" ? (["x"] as Listen[]) : []), ...this.step.trial.references];
    const step = this.step;
    // One clip's loading ends where another's, or the same one's second, begins: two would chase each other.
    const mine = ++this.entries;
    while (this.entries === mine && !this.player.ready) {
      try {
        await this.player.load(step.trial, names);
        this.player.match(this.dimension.match_loudness);
        this.error = "";
      } catch {
        // The server may be starting anew: what was said waits in the outbox meanwhile.
        this.error = "The sound cannot be loaded; trying again.";
        this.refresh();
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    if (this.entries !== mine) return;
    this.refresh();
    this.drawPlots();
  }

  private get dimension(): Dimension {
    return this.step.dimensions[Math.min(this.row, this.step.dimensions.length - 1)]!;
  }

  // ---- rating --------------------------------------------------------------------------------------------------------

  private heard(side: "1" | "2" | "x"): boolean {
    const wanted = 1000 * Math.min(this.session.heardSeconds, this.step.trial.seconds);
    return (this.player.heardMs[side] ?? 0) >= wanted || this.step.dimensions.some((d) => ["1", "2", "both"].includes(this.step.trial.answers[d.key] ?? ""));
  }

  private get mayRate(): boolean {
    return this.player.replaced.size === 0 && !this.step.trial.removed && this.heard("1") && this.heard("2") && (this.session.mode !== "abx" || this.heard("x"));
  }

  private answer(side: Answer): void {
    if (side !== "skip" && !this.mayRate) {
      this.error = this.player.replaced.size ? OWN_FILE : this.session.mode === "abx" ? "Listen to both models and to X before you choose." : "Listen to both models before you choose.";
      this.refresh();
      return;
    }
    this.error = "";
    const step = this.step;
    const before = this.done(step);
    step.trial.answers[this.dimension.key] = side;
    this.outbox.put({
      path: `/api/s/${this.slug}/votes`,
      body: {
        user: this.session.user,
        trial: step.trial.id,
        plays: this.counts(this.player.plays),
        heardMs: this.counts(this.player.heardMs),
        dwellMs: Math.round(performance.now() - this.shownAt),
        votes: [{ uid: uid(), dimension: this.dimension.key, side, matched: this.player.isMatched }],
      },
    });
    if (!before && !this.linked && this.done(step)) this.durations.push(performance.now() - this.shownAt);
    this.toRow(Math.min(this.row + 1, step.dimensions.length - 1));
  }

  private counts(values: Record<string, number>): Record<string, number> {
    const sides = this.session.mode === "abx" ? ["1", "2", "x"] : ["1", "2"];
    return Object.fromEntries(sides.map((side) => [side, Math.round(values[side] ?? 0)]));
  }

  private toRow(row: number): void {
    this.row = Math.min(Math.max(0, row), this.step.dimensions.length - 1);
    this.player.match(this.dimension.match_loudness);
    this.refresh();
    this.live[`row-${this.row}`]?.scrollIntoView({ block: "nearest" });
  }

  private async go(index: number): Promise<void> {
    if (index < 0 || index >= this.steps.length) return;
    this.player.pause();
    this.linked = null;
    this.unlink();
    this.at = index;
    await this.enter();
  }

  /** Takes a link out of the address once its clip is left: a reload would lead back to it. */
  private unlink(): void {
    if (new URLSearchParams(location.search).has("clip")) window.history.replaceState(null, "", location.pathname);
  }

  private next(): void {
    if (this.linked) void this.go(this.at);
    else if (this.at + 1 < this.steps.length) void this.go(this.at + 1);
    else this.unrated();
  }

  private back(): void {
    void this.go(this.linked ? this.at : this.at - 1);
  }

  private unrated(): void {
    const after = this.linked ? 0 : 1;
    const order = [...this.steps.keys()].map((i) => (i + this.at + after) % this.steps.length);
    const found = order.find((i) => !this.done(this.steps[i]!));
    if (found !== undefined) void this.go(found);
    else show("All rated", h("p", {}, "Every clip of this sitting is rated. Thank you. The "), h("a", { href: `/s/${this.slug}/results` }, "results"), h("p", {}, "tell what all votes say."));
  }

  private random(clean: boolean): void {
    const fitting = [...this.steps.keys()].filter((i) => (this.linked || i !== this.at) && !this.steps[i]!.trial.removed && (!clean || this.steps[i]!.trial.clean));
    const open = fitting.filter((i) => !this.done(this.steps[i]!));
    const from = open.length ? open : fitting;
    if (from.length) void this.go(from[Math.floor(Math.random() * from.length)]!);
    else {
      this.error = clean ? "There is no other clean clip." : "There is no other clip.";
      this.refresh();
    }
  }

  private async flag(): Promise<void> {
    const trial = this.step.trial;
    const asked = trial.removed ? "" : await ask("Remove this clip?", "It is left out for everyone; its votes are kept and can come back.", "Reason");
    if (asked === null) return;
    const reason = asked.trim();
    if (!trial.removed && reason === "") {
      this.error = "A clip is removed with a reason only; it stays.";
      this.refresh();
      return;
    }
    trial.removed = !trial.removed;
    this.outbox.put({
      path: `/api/s/${this.slug}/flags`,
      body: { user: this.session.user, trial: trial.id, uid: uid(), removed: trial.removed, reason },
    });
    this.draw();
  }

  private async share(): Promise<void> {
    const query = new URLSearchParams({ user: this.session.user });
    const { key } = await get<{ key: string }>(`/api/s/${this.slug}/share/${this.step.trial.id}?${query}`);
    const link = `${location.origin}/s/${this.slug}?clip=${key}`;
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      // Not served securely: it can still be copied by hand.
    }
    show("Link to this clip", h("p", {}, "It names the clip, never which model is which."), h("p", {}, h("a", { href: link }, link)));
  }

  private note(side: string, text: string): void {
    const trial = this.step.trial;
    if ((trial.notes[side] ?? "") === text) return;
    trial.notes[side] = text;
    this.outbox.draft(`${trial.id}:${side}`, { path: `/api/s/${this.slug}/notes`, body: { user: this.session.user, trial: trial.id, uid: uid(), side, text } });
  }

  private async own(side: "1" | "2"): Promise<void> {
    const input = h("input", { type: "file", accept: "audio/*,.wav,.flac,.ogg" });
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (!file) return;
      this.player.replace(side, file).catch((error: unknown) => {
        this.error = `This file cannot be played: ${error instanceof Error ? error.message : String(error)}`;
        this.refresh();
      }).finally(() => this.drawPlots());
    });
    input.click();
  }

  private get unfinished(): boolean {
    return !this.session.seen && this.steps.some((step) => !this.done(step));
  }

  private async results(event: Event): Promise<void> {
    if (!this.unfinished) return;
    event.preventDefault();
    const words = "The results name both models, and by their notes and tables the side that each one stood on. Better rate all clips first.";
    if (await confirm("See the results now?", words, "Show the results")) location.href = `/s/${this.slug}/results`;
  }

  private async setOpen(open: boolean): Promise<void> {
    const words = "Votes that you give once you know do not count, on any clip of this comparison.";
    if (open && this.unfinished && !(await confirm("Show which is which?", words, "Show them"))) return;
    // What was answered blind must be there before the names are: the server tells by the order in which they come.
    if (open && !(await this.outbox.settle(this.session.user))) {
      this.error = "Some answers are not saved yet, and would not count: the names can be shown once they are.";
      this.refresh();
      return;
    }
    this.opened = open;
    await this.load(this.session.user, this.linked ? this.link : null, this.at);
  }

  private async rename(): Promise<void> {
    const user = await ask("Who is listening?", "Each name has a plan and votes of its own.", "Name", this.session.user, 60);
    if (!user || user === this.session.user) return;
    try {
      await this.load(user, null);
      this.unlink();
      localStorage.setItem("rtvoice-user", user);
      this.greet();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.error = error.message;
      this.refresh();
    }
  }

  // ---- keys ----------------------------------------------------------------------------------------------------------

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (!this.session) return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return;
    if (target instanceof HTMLInputElement && target.type !== "radio" && target.type !== "checkbox" && target.type !== "range") return;
    const ranged = target instanceof HTMLInputElement && target.type === "range";
    if (ranged && event.key.startsWith("Arrow")) return;
    const pressed = target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement || target.tagName === "SUMMARY";
    // Both keys press what has the focus; on the buttons that listen, space goes on and pauses.
    if (pressed && (event.key === "Enter" || (event.key === " " && !target.classList.contains("side")))) return;
    const player = this.player;
    const now = player.position;
    const region = player.region ?? { start: 0, end: player.duration };
    const actions: Record<string, () => void> = {
      " ": () => player.toggle(),
      ArrowLeft: () => this.listen("1"),
      ArrowRight: () => this.listen("2"),
      ArrowUp: () => this.toRow(this.row - 1),
      ArrowDown: () => this.toRow(this.row + 1),
      x: () => this.listen(this.session.mode === "abx" ? "x" : player.side === "1" ? "2" : "1"),
      i: () => this.listen("input"),
      t: () => this.listen("target"),
      "1": () => this.answer("1"),
      "2": () => this.answer("2"),
      "3": () => this.session.mode !== "abx" && this.answer("both"),
      "4": () => this.answer("skip"),
      Enter: () => this.next(),
      n: () => this.next(),
      p: () => this.back(),
      u: () => this.unrated(),
      l: () => player.setLoop(!player.looping, player.region),
      "[": () => player.setLoop(true, { start: now, end: Math.max(region.end, now + 0.1) }),
      "]": () => player.setLoop(true, { start: Math.min(region.start, now - 0.1), end: now }),
      "\\": () => player.setLoop(player.looping, null),
      ",": () => player.seek(now - 1),
      ".": () => player.seek(now + 1),
      "+": () => (player.volume += 0.1),
      "=": () => (player.volume += 0.1),
      "-": () => (player.volume -= 0.1),
      r: () => ((player.restart = !player.restart), this.refresh()),
      f: () => void this.flag(),
      s: () => void this.outbox.flush(),
      "?": () => this.help(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  private help(): void {
    show("Keys", h("table", {}, h("tbody", {}, ...KEYS.map(([key, words]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, words))))));
  }

  private listen(side: Listen): void {
    this.error = "";
    this.player.switchTo(side);
    if (!this.player.playing) void this.player.play();
  }

  // ---- drawing -------------------------------------------------------------------------------------------------------

  private draw(): void {
    const { trial, dimensions } = this.step;
    this.live = {};
    const live = <T extends HTMLElement>(name: string, element: T): T => ((this.live[name] = element), element);
    const sides: [Listen, string][] = [
      ["1", this.name("1")],
      ["2", this.name("2")],
      ...(this.session.mode === "abx" ? ([["x", "X"]] as [Listen, string][]) : []),
      ...trial.references.map((role) => [role, role === "input" ? "Input" : "Target voice"] as [Listen, string]),
    ];
    const button = (words: string, act: () => void, extra: Record<string, string> = {}) => h("button", { type: "button", click: act, ...extra }, words);
    const title = trial.clip ?? (this.linked ? "A clip from a link" : `Clip ${this.at + 1} of ${this.steps.length}`);
    document.title = `${title} · comparison`;
    this.root.replaceChildren(
      h(
        "header",
        {},
        h("h1", {}, title),
        h("div", { class: "who" }, button(`${this.session.user}`, () => void this.rename(), { title: "Change the user" }), h("a", { href: `/s/${this.slug}/results`, click: (e) => void this.results(e) }, "Results")),
        live("progress", h("progress", { max: this.steps.length, value: 0, "aria-label": "Clips rated" })),
        live("left", h("p", { class: "quiet" })),
        this.linked && h("p", { class: "outside" }, "This clip is none of your sitting. Answers to it are kept, but do not count."),
      ),
      h(
        "section",
        { class: "card", "aria-label": "Player" },
        h("div", { class: "listen", role: "group", "aria-label": "Listen to" }, ...sides.map(([side, words]) => live(`side-${side}`, h("button", { type: "button", class: "side", "aria-pressed": "false", click: () => this.listen(side) }, h("span", {}, words), h("small", {}))))),
        h(
          "div",
          { class: "transport" },
          live("play", button("Play", () => this.player.toggle(), { class: "primary" })),
          live("seek", h("input", { type: "range", min: 0, max: trial.seconds, step: 0.01, value: 0, "aria-label": "Place in the clip", input: (e) => this.player.seek(Number((e.target as HTMLInputElement).value)) })),
          live("time", h("span", { class: "time" }, "0.0 s")),
        ),
        h(
          "div",
          { class: "options" },
          h("label", {}, live("loop", h("input", { type: "checkbox", change: (e) => this.player.setLoop((e.target as HTMLInputElement).checked, this.player.region) })), "Loop"),
          live("region", button("Loop from here", () => this.player.setLoop(true, this.player.region ? null : { start: this.player.position, end: this.player.duration }))),
          h("label", {}, live("restart", h("input", { type: "checkbox", change: (e) => ((this.player.restart = (e.target as HTMLInputElement).checked), this.refresh()) })), "Start over on a switch"),
          h("label", {}, "Volume ", live("volume", h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Volume", input: (e) => (this.player.volume = Number((e.target as HTMLInputElement).value)) }))),
          live("matched", h("span", { class: "quiet" })),
        ),
      ),
      live("message", h("p", { class: "message", role: "status", "aria-live": "polite" })),
      h("section", { "aria-label": "Ratings" }, ...dimensions.map((dimension, index) => live(`row-${index}`, this.drawRow(dimension, index)))),
      h(
        "div",
        { class: "buttons" },
        this.linked ? "" : button("Back", () => this.back()),
        button(this.linked ? "To my sitting" : "Next clip", () => this.next(), { class: "primary" }),
        button("Random clip", () => this.random(false)),
        button("Random clean clip", () => this.random(true)),
        button("Save ratings", () => void this.outbox.flush()),
        live("saved", h("span", { class: "quiet", role: "status" })),
      ),
      h(
        "details",
        { class: "card" },
        h("summary", {}, "Notes"),
        ...(["1", "2", "clip"] as const).map((side) =>
          h(
            "label",
            { class: "note" },
            side === "clip" ? "This clip" : this.name(side),
            h("textarea", { rows: 2, maxlength: 2000, input: (e) => this.note(side, (e.target as HTMLTextAreaElement).value) }, trial.notes[side] ?? ""),
          ),
        ),
      ),
      live("plots", h("details", { class: "card", toggle: () => this.drawPlots(), open: !this.session.blind }, h("summary", {}, "Plots"), live("canvas", h("div", { class: "plots" })))),
      h(
        "div",
        { class: "buttons" },
        live("flag", button(trial.removed ? "Bring this clip back" : "Flag to remove", () => void this.flag())),
        button("Link to this clip", () => void this.share()),
        button("Own file as Model 1", () => void this.own("1")),
        button("Own file as Model 2", () => void this.own("2")),
        live("back", button("Back to the pair", () => void this.enter())),
        button(this.opened ? "Cover the names" : "Show which is which", () => void this.setOpen(!this.opened)),
        button("Keys", () => this.help()),
      ),
    );
    this.refresh();
  }

  private name(side: "1" | "2"): string {
    const model = `Model ${side}`;
    return this.step.trial.names ? `${model}: ${this.step.trial.names[side]}` : model;
  }

  private drawRow(dimension: Dimension, index: number): HTMLElement {
    const group = `${this.step.trial.id}-${dimension.key}`;
    return h(
      "fieldset",
      { class: "row", click: () => index !== this.row && this.toRow(index), focusin: () => index !== this.row && this.toRow(index) },
      h("legend", {}, dimension.label, dimension.weight > 1 ? ` (±${dimension.weight})` : ""),
      h("p", { class: "quiet", id: `${group}-d` }, dimension.definition),
      h(
        "div",
        { class: "answers" },
        ...ANSWERS.filter(([answer]) => this.session.mode !== "abx" || answer !== "both").map(([answer, words, key]) =>
          h(
            "label",
            {},
            h("input", {
              type: "radio",
              name: group,
              value: answer,
              "aria-describedby": `${group}-d`,
              "aria-keyshortcuts": key,
              change: () => ((this.row = index), this.answer(answer)),
            }),
            h("span", {}, words),
          ),
        ),
      ),
    );
  }

  /** Brings what changes all the time up to date without drawing the page anew. */
  private refresh(): void {
    if (!this.live["play"]) return;
    const { player, step } = this;
    const done = this.steps.filter((s) => this.done(s)).length;
    const text = (name: string, words: string) => {
      const element = this.live[name]!;
      if (element.textContent !== words) element.textContent = words;
    };
    (this.live["progress"] as HTMLProgressElement).value = done;
    const usual = this.durations.length ? [...this.durations].sort((a, b) => a - b)[this.durations.length >> 1]! : this.guess;
    const minutes = Math.ceil(((this.steps.length - done) * usual) / 60000);
    text("left", done === this.steps.length ? "All rated." : `${done} of ${this.steps.length} rated, about ${minutes} min left${this.session.seen ? "; you know which is which: votes do not count" : ""}`);
    for (const [name, element] of Object.entries(this.live)) {
      if (!name.startsWith("side-")) continue;
      const side = name.slice(5) as Listen;
      element.setAttribute("aria-pressed", String(player.side === side));
      (element as HTMLButtonElement).disabled = !player.ready;
      const small = element.querySelector("small")!;
      const words = player.replaced.has(side) ? "own file" : side !== "input" && side !== "target" && this.heard(side) ? "heard" : "";
      if (small.textContent !== words) small.textContent = words;
    }
    text("play", player.playing ? "Pause" : "Play");
    (this.live["play"] as HTMLButtonElement).disabled = !player.ready;
    const seek = this.live["seek"] as HTMLInputElement;
    seek.max = String(player.duration || step.trial.seconds);
    seek.value = String(player.position);
    seek.setAttribute("aria-valuetext", `${player.position.toFixed(1)} of ${player.duration.toFixed(1)} seconds`);
    text("time", `${player.position.toFixed(1)} / ${player.duration.toFixed(1)} s`);
    (this.live["loop"] as HTMLInputElement).checked = player.looping;
    (this.live["restart"] as HTMLInputElement).checked = player.restart;
    (this.live["volume"] as HTMLInputElement).value = String(player.volume);
    text("region", player.region ? `Loop ${player.region.start.toFixed(1)} to ${player.region.end.toFixed(1)} s: take away` : "Loop from here");
    text("matched", player.isMatched ? "Loudness matched" : "Loudness as it is");
    step.dimensions.forEach((dimension, index) => {
      const row = this.live[`row-${index}`]!;
      row.classList.toggle("current", index === this.row);
      for (const input of row.querySelectorAll("input")) {
        input.checked = input.value === step.trial.answers[dimension.key];
        input.disabled = input.value !== "skip" && !this.mayRate;
      }
    });
    const silent = player.audible ? "" : "The volume is 0: what plays now does not count as heard. ";
    const both = this.session.mode === "abx" ? "both models and to X" : "both models";
    const wait = player.replaced.size ? OWN_FILE : this.mayRate ? "" : `${silent}Listen to ${both}, then choose.`;
    text("message", this.error || (step.trial.removed ? "This clip is removed." : player.ready ? wait : "Loading."));
    this.live["message"]!.classList.toggle("bad", this.error !== "");
    text("saved", this.saved);
    this.live["back"]!.hidden = player.replaced.size === 0;
    this.plots.cursor(player.position / (player.duration || 1));
  }

  /** Milliseconds that a step takes before any was: 4 s for each sound that must be heard and for each row to answer. */
  private get guess(): number {
    const { mode, heardSeconds } = this.session;
    const sounds = mode === "abx" ? 4 : 2; // X is gone back to
    return 1000 * (sounds * Math.max(4, Math.min(heardSeconds, this.step.trial.seconds)) + 4 * this.step.dimensions.length);
  }

  private drawPlots(): void {
    const details = this.live["plots"] as HTMLDetailsElement | undefined;
    if (!details?.open || !this.player.ready) return;
    const names: [string, string][] = [["1", this.name("1")], ["2", this.name("2")], ["input", "Input"]];
    const sounds = names.flatMap(([side, name]) => {
      const [buffer, weighed] = [this.player.buffer(side), this.player.loudness(side)];
      return buffer && weighed ? [{ name, buffer, weighed }] : [];
    });
    this.plots.draw(this.live["canvas"]!, sounds, this.player.duration);
  }
}
