// Spectrograms, their difference, pitch and loudness over time, all aligned to one time axis.

import { spectrogram, topHz, type Spectrogram } from "./dsp";
import { h } from "./dom";
import { momentary, type Weighed } from "./loudness";
import { pitch } from "./pitch";

const COLUMNS = 400;
const ROWS = 80;
const RANGE_DB = 70;

type Colour = [number, number, number];
const DARK_TO_LIGHT: Colour[] = [[12, 14, 38], [62, 24, 110], [170, 46, 108], [240, 120, 60], [252, 236, 150]];
// No difference has the colour of the page.
const BLUE_TO_RED: Colour[] = [[30, 90, 200], [150, 185, 230], [240, 240, 240], [235, 165, 140], [200, 50, 40]];
const BLUE_TO_RED_DARK: Colour[] = [[90, 150, 255], [50, 80, 140], [29, 33, 40], [140, 70, 50], [255, 110, 80]];

const KINDS = [["spectrograms", "Spectrograms"], ["difference", "Difference"], ["pitch", "Pitch"], ["loudness", "Loudness"]] as const;
type Kind = (typeof KINDS)[number][0];

export interface Shown {
  name: string;
  buffer: AudioBuffer;
  weighed: Weighed;
}

function colour(scale: Colour[], part: number): Colour {
  const place = Math.min(0.9999, Math.max(0, part)) * (scale.length - 1);
  const [one, two] = [scale[Math.floor(place)]!, scale[Math.floor(place) + 1]!];
  const mix = place % 1;
  return [0, 1, 2].map((i) => one[i]! + (two[i]! - one[i]!) * mix) as Colour;
}

function paint(rows: number, columns: number, part: (column: number, row: number) => number, scale: Colour[]): HTMLCanvasElement {
  const canvas = h("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const at = 4 * ((rows - 1 - row) * columns + column);
      image.data.set([...colour(scale, part(column, row)), 255], at);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

export class Plots {
  private line: HTMLElement | null = null;

  /** Draws sounds over one axis of `seconds`: what is shorter ends before it does. */
  draw(into: HTMLElement, sounds: Shown[], seconds: number): void {
    const hidden = new Set((localStorage.getItem("rtvoice-plots") ?? "").split(","));
    const choose = (kind: Kind) => (event: Event) => {
      if ((event.target as HTMLInputElement).checked) hidden.delete(kind);
      else hidden.add(kind);
      localStorage.setItem("rtvoice-plots", [...hidden].join(","));
      this.draw(into, sounds, seconds);
      into.querySelector<HTMLElement>(`[value=${kind}]`)?.focus();
    };
    const choices = h("div", { class: "options", role: "group", "aria-label": "What is drawn" });
    for (const [kind, words] of KINDS) choices.append(h("label", {}, h("input", { type: "checkbox", value: kind, checked: !hidden.has(kind), change: choose(kind) }), words));
    this.line = h("div", { class: "cursor", "aria-hidden": "true" });
    const figures = KINDS.filter(([kind]) => !hidden.has(kind)).flatMap(([kind]) => FIGURES[kind](sounds, seconds));
    into.replaceChildren(choices, h("div", { class: "figures" }, ...figures, figures.length > 0 && this.line));
  }

  cursor(part: number): void {
    if (this.line) this.line.style.left = `${100 * part}%`;
  }
}

/** What was made of a sound over an axis, made once. */
function once<T>(make: (samples: Float32Array, rate: number, seconds: number) => T): (sound: Shown, seconds: number) => T {
  const kept = new WeakMap<AudioBuffer, [number, T]>();
  return ({ buffer }, seconds) => {
    const [of, before] = kept.get(buffer) ?? [];
    if (before !== undefined && of === seconds) return before;
    const made = make(mono(buffer), buffer.sampleRate, seconds);
    kept.set(buffer, [seconds, made]);
    return made;
  };
}

/** The mean of a sound's channels. */
function mono(buffer: AudioBuffer): Float32Array {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  const [first] = channels as [Float32Array];
  return channels.length === 1 ? first : first.map((_, i) => channels.reduce((sum, channel) => sum + channel[i]!, 0) / channels.length);
}

const picture = once((samples, rate, seconds): Spectrogram => spectrogram(samples, rate, COLUMNS, ROWS, seconds));
const curve = once((samples, rate, seconds) => pitch(samples, rate, COLUMNS, seconds));

const loudest = (made: Spectrogram[]) => Math.max(...made.map((p) => p.levels.reduce((a, b) => Math.max(a, b), -200)));

const FIGURES: Record<Kind, (sounds: Shown[], seconds: number) => HTMLElement[]> = {
  spectrograms(sounds, seconds) {
    const made = sounds.map((sound) => picture(sound, seconds));
    const top = loudest(made);
    return sounds.map(({ name, buffer }, i) => figure(`${name}, 0 to ${topHz(buffer.sampleRate) / 1000} kHz`, `Spectrogram of ${name}`, paint(ROWS, COLUMNS, (c, r) => 1 + (made[i]!.levels[c * ROWS + r]! - top) / RANGE_DB, DARK_TO_LIGHT)));
  },
  difference([first, second], seconds) {
    if (!first || !second) return [];
    const [one, two] = [picture(first, seconds), picture(second, seconds)];
    const floor = loudest([one, two]) - RANGE_DB;
    const part = (c: number, r: number) => 0.5 + (Math.max(two.levels[c * ROWS + r]!, floor) - Math.max(one.levels[c * ROWS + r]!, floor)) / 60;
    const scale = matchMedia("(prefers-color-scheme: dark)").matches ? BLUE_TO_RED_DARK : BLUE_TO_RED;
    return [figure(`${second.name} − ${first.name}, blue −30 dB to red +30 dB`, "Difference of the spectrograms", paint(ROWS, COLUMNS, part, scale))];
  },
  pitch: (sounds, seconds) => [
    lines("Pitch, 60 to 500 Hz", sounds.map((sound) => [sound.name, curve(sound, seconds)]), (v) => Math.log(v / 60) / Math.log(500 / 60)),
  ],
  loudness: (sounds, seconds) => [lines("Loudness, −60 to 0 LUFS", sounds.map(({ name, weighed }) => [name, momentary(weighed, COLUMNS, seconds)]), (v) => (v + 60) / 60)],
};

function figure(words: string, label: string, canvas: HTMLCanvasElement): HTMLElement {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return h("figure", {}, h("figcaption", {}, words), canvas);
}

const STROKES: [string, number[]][] = [["#3b82d6", []], ["#e0742c", []], ["#888888", [4, 3]]];

function lines(words: string, curves: [string, Float32Array][], part: (value: number) => number): HTMLElement {
  const canvas = h("canvas", { width: 2 * COLUMNS, height: 160 });
  const context = canvas.getContext("2d")!;
  curves.forEach(([, values], index) => {
    const [stroke, dash] = STROKES[index % STROKES.length]!;
    context.strokeStyle = stroke;
    context.setLineDash(dash);
    context.lineWidth = 2;
    context.beginPath();
    let drawing = false;
    values.forEach((value, i) => {
      if (Number.isNaN(value)) {
        drawing = false;
        return;
      }
      const [x, y] = [2 * i, 158 - 156 * Math.min(1, Math.max(0, part(value)))];
      if (drawing) context.lineTo(x, y);
      else context.moveTo(x, y);
      drawing = true;
    });
    context.stroke();
  });
  const names = curves.map(([name], i) => `${name} ${["blue", "orange", "grey, dashed"][i]}`).join(", ");
  return figure(`${words}: ${names}`, words, canvas);
}
