// Spectrograms, their difference, pitch and loudness over time, all aligned to one time axis.

import { level, pitch, spectrogram, type Spectrogram } from "./dsp";
import { h } from "./dom";

const COLUMNS = 400;
const ROWS = 80;
const RANGE_DB = 70;

type Colour = [number, number, number];
const DARK_TO_LIGHT: Colour[] = [[12, 14, 38], [62, 24, 110], [170, 46, 108], [240, 120, 60], [252, 236, 150]];
const BLUE_TO_RED: Colour[] = [[30, 90, 200], [150, 185, 230], [240, 240, 240], [235, 165, 140], [200, 50, 40]];

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

  draw(into: HTMLElement, sounds: [string, AudioBuffer][]): void {
    const mono = sounds.map(([name, buffer]) => [name, buffer.getChannelData(0), buffer.sampleRate] as const);
    const pictures: [string, Spectrogram][] = mono.map(([name, samples, rate]) => [name, spectrogram(samples, rate, COLUMNS, ROWS)]);
    const top = Math.max(...pictures.map(([, p]) => p.levels.reduce((a, b) => Math.max(a, b), -200)));
    const figures: HTMLElement[] = pictures.map(([name, picture]) =>
      figure(name, `Spectrogram of ${name}`, paint(ROWS, COLUMNS, (c, r) => 1 + (picture.levels[c * ROWS + r]! - top) / RANGE_DB, DARK_TO_LIGHT)),
    );
    const [one, two] = [pictures[0]?.[1], pictures[1]?.[1]];
    if (one && two) {
      const floor = top - RANGE_DB;
      const difference = (c: number, r: number) => {
        const at = c * ROWS + r;
        return 0.5 + (Math.max(two.levels[at]!, floor) - Math.max(one.levels[at]!, floor)) / 60;
      };
      figures.push(figure("Model 2 − Model 1, blue −30 dB to red +30 dB", "Difference of the spectrograms", paint(ROWS, COLUMNS, difference, BLUE_TO_RED)));
    }
    figures.push(lines("Pitch, 60 to 500 Hz", mono.map(([name, s, rate]) => [name, pitch(s, rate, COLUMNS)]), (v) => Math.log(v / 60) / Math.log(500 / 60)));
    figures.push(lines("Level, −60 to 0 dBFS", mono.map(([name, s, rate]) => [name, level(s, rate, COLUMNS)]), (v) => (v + 60) / 60));
    this.line = h("div", { class: "cursor", "aria-hidden": "true" });
    into.replaceChildren(...figures, this.line);
  }

  cursor(part: number): void {
    if (this.line) this.line.style.left = `${100 * part}%`;
  }
}

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
