// What the plots show of a sound: levels over time and frequency; its pitch is in pitch.ts, its loudness in loudness.ts.

/** In-place FFT of a power of two. */
export function fft(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j]!, re[i]!];
      [im[i], im[j]] = [im[j]!, im[i]!];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1;
    for (let k = 0; k < half; k++) {
      const angle = (-2 * Math.PI * k) / size;
      const wr = Math.cos(angle);
      const wi = Math.sin(angle);
      for (let start = k; start < n; start += size) {
        const other = start + half;
        const xr = re[other]! * wr - im[other]! * wi;
        const xi = re[other]! * wi + im[other]! * wr;
        re[other] = re[start]! - xr;
        im[other] = im[start]! - xi;
        re[start] = re[start]! + xr;
        im[start] = im[start]! + xi;
      }
    }
  }
}

export interface Spectrogram {
  columns: number;
  rows: number;
  /** dB, column by column, lowest frequency first. */
  levels: Float32Array;
}

/** Up to where a sound of a rate is drawn: models of 24 kHz have all that they say below. */
export const topHz = (rate: number) => Math.min(12000, rate / 2);

/** Levels in dB: `columns` moments of the first `seconds`, `rows` bands that widen with frequency up to topHz. */
export function spectrogram(samples: Float32Array, rate: number, columns: number, rows: number, seconds = samples.length / rate): Spectrogram {
  const size = rate > 30000 ? 2048 : 1024;
  const window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const top = topHz(rate);
  const scale = (f: number) => Math.log1p(f / 700);
  const edges = Array.from({ length: rows + 1 }, (_, r) => (700 * Math.expm1((scale(top) * r) / rows) * size) / rate);
  const levels = new Float32Array(columns * rows);
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  for (let column = 0; column < columns; column++) {
    const start = Math.round(((column + 0.5) / columns) * seconds * rate - size / 2);
    for (let i = 0; i < size; i++) {
      re[i] = (samples[start + i] ?? 0) * window[i]!;
      im[i] = 0;
    }
    fft(re, im);
    for (let row = 0; row < rows; row++) {
      const low = Math.floor(edges[row]!);
      const high = Math.max(low + 1, Math.ceil(edges[row + 1]!));
      let power = 0;
      for (let bin = low; bin < high; bin++) power += re[bin]! ** 2 + im[bin]! ** 2;
      levels[column * rows + row] = 10 * Math.log10(power / (high - low) / size + 1e-9);
    }
  }
  return { columns, rows, levels };
}
