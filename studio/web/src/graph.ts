// The sound: all versions of a clip run from one start time in one WebAudio graph; a switch only moves gains.

/** Long enough for no click, short enough for no gap between two versions that differ. */
export const FADE_SECONDS = 0.005;

/**
 * The sample nearest to a time. What starts between two samples is interpolated by the browser: half a sample off, as 10 ms
 * are at 22.05 kHz, is a low pass with -3 dB at 5.5 kHz.
 */
export function onGrid(seconds: number, rate: number): number {
  return Math.round(seconds * rate) / rate;
}

interface Ramp {
  from: number;
  to: number;
  start: number;
}

class Fader {
  private ramp: Ramp;

  constructor(
    readonly node: GainNode,
    start: number,
  ) {
    this.ramp = { from: start, to: start, start: -1 };
    this.hold(start);
  }

  /** Stands at a value from the start on. */
  hold(value: number): void {
    this.node.gain.value = value;
    this.ramp = { from: value, to: value, start: -1 };
  }

  /** The value at a time, as the ramp has it: browsers do not all tell it, and a switch may come during another. */
  at(time: number): number {
    const part = Math.min(1, Math.max(0, (time - this.ramp.start) / FADE_SECONDS));
    return this.ramp.from + (this.ramp.to - this.ramp.from) * part;
  }

  /** Goes to a value linearly: two faders that do so at once add up to what they held, so equal audio stays equal. */
  to(value: number, time: number): void {
    const from = this.at(time);
    if (from === value && this.ramp.to === value) return;
    this.ramp = { from, to: value, start: time };
    this.node.gain.cancelScheduledValues(time);
    this.node.gain.setValueAtTime(from, time);
    this.node.gain.linearRampToValueAtTime(value, time + FADE_SECONDS);
  }
}

/** Goes over to another place, played by a graph of its own: the old one fades out as the new one fades in, as on a switch. */
export function goOver(from: Graph, to: Graph, when: number, offset: number, loop: Region | null, ended?: () => void): void {
  from.stop(when);
  to.start(when, offset, loop, ended, true);
}

export interface Region {
  start: number;
  end: number;
}

export class Graph {
  private readonly sources = new Map<string, AudioBufferSourceNode>();
  private readonly chosen = new Map<string, Fader>();
  private readonly levels = new Map<string, Fader>();
  private readonly out: Fader;

  /** `levels` are the gains that match loudness, by version. */
  constructor(
    private readonly context: BaseAudioContext,
    destination: AudioNode,
    buffers: ReadonlyMap<string, AudioBuffer>,
    levels: Readonly<Record<string, number>>,
    selected: string,
  ) {
    this.out = new Fader(context.createGain(), 1);
    this.out.node.connect(destination);
    for (const [name, buffer] of buffers) {
      const source = context.createBufferSource();
      source.buffer = buffer;
      const level = new Fader(context.createGain(), levels[name] ?? 1);
      const choice = new Fader(context.createGain(), name === selected ? 1 : 0);
      source.connect(level.node).connect(choice.node).connect(this.out.node);
      this.sources.set(name, source);
      this.levels.set(name, level);
      this.chosen.set(name, choice);
    }
  }

  /** Starts all versions at one time, on a sample, fading in where asked; `ended` is called when the first of the pair is over. */
  start(when: number, offset: number, loop: Region | null, ended?: () => void, fadeIn = false): void {
    const time = this.grid(when);
    if (fadeIn) {
      this.out.hold(0);
      this.out.to(1, time);
    }
    for (const source of this.sources.values()) {
      this.setLoop(source, loop);
      source.start(time, this.grid(offset));
    }
    const first = this.sources.values().next().value;
    if (first && ended) first.onended = ended;
  }

  select(name: string, time: number): void {
    for (const [other, fader] of this.chosen) fader.to(other === name ? 1 : 0, time);
  }

  setLevels(levels: Readonly<Record<string, number>>, time: number): void {
    for (const [name, fader] of this.levels) fader.to(levels[name] ?? 1, time);
  }

  loop(loop: Region | null): void {
    for (const source of this.sources.values()) this.setLoop(source, loop);
  }

  /** Fades out at a time, now where none is given, and ends. */
  stop(when = this.context.currentTime): void {
    const time = this.grid(when);
    this.out.to(0, time);
    for (const source of this.sources.values()) {
      source.onended = null;
      source.stop(time + FADE_SECONDS);
    }
  }

  private grid(seconds: number): number {
    return onGrid(seconds, this.context.sampleRate);
  }

  private setLoop(source: AudioBufferSourceNode, loop: Region | null): void {
    source.loop = loop !== null;
    if (loop) {
      source.loopStart = this.grid(loop.start);
      source.loopEnd = this.grid(loop.end);
    }
  }
}
