// Plays one trial: loads its versions, keeps the time, and counts how long each one was heard.

import type { Listen, Trial } from "./api";
import { goOver, Graph, onGrid, type Region } from "./graph";
import { matchingGains, weigh, type Weighed } from "./loudness";

/** How far ahead of its clock a context is told to start: what it has on its way takes less. */
const LEAD_SECONDS = 0.01;
/** An own file may be this long: of each side as much is kept. */
const LONGEST_SECONDS = 300;

export class Player {
  private context: AudioContext | null = null;
  private master: GainNode | null = null;
  private graph: Graph | null = null;
  /** What was loaded, and the same as it is played: all as long as the longest, so that none comes around before another. */
  private loaded = new Map<string, AudioBuffer>();
  private buffers = new Map<string, AudioBuffer>();
  private length = 0;
  private weighed = new Map<string, Weighed>();
  private gains: ReturnType<typeof matchingGains> = { gains: {}, plain: 1 };
  private trial: Trial | null = null;
  private startedAt = 0;
  private offset = 0;
  private counted = 0;
  private loading = 0;
  private level = 1;
  private matched = true;

  side: Listen = "1";
  playing = false;
  region: Region | null = null;
  looping = true;
  restart = false;
  plays: Record<string, number> = {};
  heardMs: Record<string, number> = {};
  replaced = new Set<string>();

  constructor(private readonly changed: () => void) {
    window.setInterval(() => this.tick(), 50);
  }

  get duration(): number {
    return this.length;
  }

  get ready(): boolean {
    return this.buffers.size > 0;
  }

  /** A sound as it was loaded. */
  buffer(name: string): AudioBuffer | undefined {
    return this.loaded.get(name);
  }

  loudness(name: string): Weighed | undefined {
    return this.weighed.get(name);
  }

  /** Measures what came anew, and matches all of them. */
  private measure(): void {
    for (const [name, buffer] of this.loaded) {
      if (this.weighed.has(name)) continue;
      const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
      this.weighed.set(name, weigh(channels, buffer.sampleRate));
    }
    this.gains = matchingGains(this.weighed);
  }

  /** Lets go of the clip. */
  clear(): void {
    this.pause();
    this.loading++;
    this.loaded = new Map();
    this.buffers = new Map();
    this.weighed = new Map();
  }

  async load(trial: Trial, names: Listen[]): Promise<void> {
    this.clear();
    const mine = ++this.loading;
    this.length = trial.seconds;
    this.trial = trial;
    this.offset = 0;
    this.region = null;
    this.plays = {};
    this.heardMs = {};
    this.replaced.clear();
    this.side = "1";
    this.changed();
    // A context at the clip's own rate, so that nothing is resampled on the way to the speakers' driver.
    if (this.context?.sampleRate !== trial.rate) {
      void this.context?.close();
      this.context = new AudioContext({ sampleRate: trial.rate });
      this.master = this.context.createGain();
      this.master.gain.value = this.level;
      this.master.connect(this.context.destination);
    }
    const context = this.context;
    const loaded = await Promise.all(
      names.map(async (name) => {
        const answer = await fetch(`/audio/${trial.id}/${name}.wav`);
        if (!answer.ok) throw new Error("the sound cannot be loaded; reload the page");
        return [name, await context.decodeAudioData(await answer.arrayBuffer())] as const;
      }),
    );
    if (mine !== this.loading) return;
    this.loaded = new Map(loaded);
    this.buffers = new Map(loaded);
    this.measure();
    this.changed();
  }

  /** Puts another recording on a side, in this browser only. */
  async replace(side: Listen, file: File): Promise<void> {
    if (!this.context) return;
    if (file.size > 50e6) throw new Error("the file is larger than 50 MB");
    const mine = this.loading;
    const buffer = await this.context.decodeAudioData(await file.arrayBuffer());
    // The rater has gone on meanwhile: it was for the clip before.
    if (mine !== this.loading) return;
    if (buffer.duration > LONGEST_SECONDS) throw new Error(`the file is longer than ${LONGEST_SECONDS / 60} minutes`);
    this.pause();
    this.loaded.set(side, buffer);
    this.weighed.delete(side);
    this.measure();
    this.replaced.add(side);
    this.length = Math.max(this.trial?.seconds ?? 0, ...[...this.replaced].map((name) => this.loaded.get(name)!.duration));
    // The target voice is in time with none of them.
    this.buffers = new Map([...this.loaded].map(([name, sound]) => [name, name === "target" ? sound : this.filled(sound)]));
    if (this.region && this.region.end > this.length) this.region = null;
    this.changed();
  }

  /** A sound with silence behind it, as long as the longest. */
  private filled(sound: AudioBuffer): AudioBuffer {
    const frames = Math.round(this.length * sound.sampleRate);
    if (sound.length >= frames || !this.context) return sound;
    const whole = this.context.createBuffer(sound.numberOfChannels, frames, sound.sampleRate);
    for (let channel = 0; channel < sound.numberOfChannels; channel++) whole.copyToChannel(sound.getChannelData(channel), channel);
    return whole;
  }

  /** Whole samples: half a one more would start every sound between two. */
  private get lead(): number {
    return this.context ? onGrid(LEAD_SECONDS, this.context.sampleRate) : LEAD_SECONDS;
  }

  private levels(): Record<string, number> {
    return Object.fromEntries([...this.buffers.keys()].map((name) => [name, this.matched ? (this.gains.gains[name] ?? 1) : this.gains.plain]));
  }

  get position(): number {
    if (!this.playing || !this.context) return this.offset;
    const passed = this.offset + Math.max(0, this.context.currentTime - this.startedAt);
    const loop = this.loopRegion();
    if (!loop) return Math.min(passed, this.duration);
    if (passed < loop.end) return passed;
    return loop.start + ((passed - loop.start) % (loop.end - loop.start));
  }

  private loopRegion(): Region | null {
    if (!this.looping) return null;
    return this.region ?? { start: 0, end: this.duration };
  }

  async play(): Promise<void> {
    if (this.playing || !this.context || !this.master || !this.ready) return;
    await this.context.resume();
    if (this.playing) return;
    this.begin(this.context, this.master, this.offset, null);
    // What could not be started is not playing, and nothing of it counts as heard.
    this.playing = true;
    this.counted = performance.now();
    this.changed();
  }

  /** Plays on from a place, after what plays now where there is something. */
  private begin(context: AudioContext, master: GainNode, place: number, from: Graph | null): void {
    const loop = this.loopRegion();
    this.offset = place >= this.duration - 0.01 ? (loop?.start ?? 0) : onGrid(place, context.sampleRate);
    if (loop && (this.offset < loop.start || this.offset >= loop.end)) this.offset = loop.start;
    const graph = new Graph(context, master, this.buffers, this.levels(), this.side);
    const ended = () => {
      if (this.graph !== graph) return;
      this.pause();
      this.offset = 0;
      this.changed();
    };
    this.startedAt = onGrid(context.currentTime, context.sampleRate) + this.lead;
    if (from) goOver(from, graph, this.startedAt, this.offset, loop, ended);
    // In the middle of a sound a start clicks, at its beginning nothing may be missing.
    else graph.start(this.startedAt, this.offset, loop, ended, this.offset > 0);
    this.graph = graph;
    this.plays[this.side] = (this.plays[this.side] ?? 0) + 1;
    this.changed();
  }

  pause(): void {
    if (!this.playing) return;
    this.tick();
    this.offset = this.position;
    this.playing = false;
    this.graph?.stop();
    this.graph = null;
    this.changed();
  }

  toggle(): void {
    if (this.playing) this.pause();
    else void this.play();
  }

  seek(seconds: number): void {
    const place = Math.min(Math.max(0, seconds), this.duration);
    this.tick();
    if (this.playing && this.context && this.master) return this.begin(this.context, this.master, place, this.graph);
    this.offset = place;
    this.changed();
  }

  /** Listens to another version, at the same place or from the start, as `restart` says. */
  switchTo(side: Listen): void {
    if (!this.buffers.has(side)) return;
    if (side === this.side && this.playing) return;
    this.tick();
    const was = this.side;
    this.side = side;
    if (this.restart && was !== side) {
      this.seek(this.loopRegion()?.start ?? 0);
    } else if (this.playing && this.context) {
      this.graph?.select(side, this.context.currentTime);
      if (was !== side) this.plays[side] = (this.plays[side] ?? 0) + 1;
    }
    this.changed();
  }

  setLoop(on: boolean, region: Region | null): void {
    const at = this.position;
    this.looping = on;
    const rate = this.context?.sampleRate ?? 1000;
    // At least 0.1 s, within the clip.
    const place = (seconds: number, most: number) => onGrid(Math.min(Math.max(0, seconds), most), rate);
    const start = region ? place(region.start, Math.max(0, this.duration - 0.1)) : 0;
    const end = region ? place(Math.max(region.end, start + 0.1), this.duration) : 0;
    this.region = end > start ? { start, end } : null;
    // The new loop takes over where the old one is then.
    if (this.playing) this.seek(at + this.lead);
    else this.changed();
  }

  get volume(): number {
    return this.level;
  }

  get audible(): boolean {
    return this.level > 0;
  }

  set volume(value: number) {
    this.tick();
    // To hundredths: ten steps of 0.1 down from 1 end at 0, not at 1e-16.
    this.level = Math.round(100 * Math.min(1, Math.max(0, value))) / 100;
    if (this.master && this.context) this.master.gain.setTargetAtTime(this.level, this.context.currentTime, 0.01);
    this.changed();
  }

  /** Plays all equally loud, or as loud as they are. */
  match(on: boolean): void {
    if (on === this.matched) return;
    this.matched = on;
    if (this.context) this.graph?.setLevels(this.levels(), this.context.currentTime);
    this.changed();
  }

  get isMatched(): boolean {
    return this.matched;
  }

  /** Counts what was heard since the last time. */
  private tick(): void {
    if (!this.playing) return;
    const now = performance.now();
    // A clock that slept, as in a hidden tab, counts for nothing, and neither does what nobody can hear.
    if (this.context?.state === "running" && this.audible) {
      this.heardMs[this.side] = (this.heardMs[this.side] ?? 0) + Math.min(now - this.counted, 2000);
    }
    this.counted = now;
    this.changed();
  }
}
