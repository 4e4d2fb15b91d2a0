// Pitch over time: Boersma's autocorrelation (1993), divided by the window's own, and the cheapest path through its peaks.

import { fft } from "./dsp";

const [LOWEST, HIGHEST] = [60, 500];
/** Harmonics above this tell little of the pitch, and noise lies there. */
const BAND_HZ = 4000;
/** The path's costs and thresholds, Praat's own defaults: of an octave down, of a jump by one, of a change of voicing. */
const [OCTAVE, JUMP, CHANGE] = [0.01, 0.35, 0.14];
const [VOICED, SILENT] = [0.45, 0.03];
/** Peaks kept of each moment. */
const PEAKS = 12;

interface Peak {
  hz: number; // 0: no pitch
  strength: number;
}

/** Fewer samples a second, of which what lies below BAND_HZ is kept: a low pass of a windowed sinc, one sample in `step`. */
function slower(samples: Float32Array, step: number): Float32Array {
  if (step === 1) return samples;
  const half = 8 * step;
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const x = (i - half) / step;
    return ((x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)) * (0.5 + 0.5 * Math.cos((Math.PI * (i - half)) / (half + 1)))) / step;
  });
  return Float32Array.from({ length: Math.floor(samples.length / step) }, (_, at) => {
    let sum = 0;
    const first = at * step - half;
    for (let i = Math.max(0, -first); i < taps.length && first + i < samples.length; i++) sum += taps[i]! * samples[first + i]!;
    return sum;
  });
}

/** Autocorrelation of a frame by its power spectrum up to `band` (a part of the bins), 1 at lag 0, `finer` lags to a sample; null: silence. */
function correlation(frame: Float64Array, size: number, finer: number, band: number): Float64Array | null {
  let [re, im] = [new Float64Array(size), new Float64Array(size)];
  re.set(frame);
  fft(re, im);
  const power = new Float64Array(size * finer);
  const top = Math.floor((size / 2) * band);
  for (let bin = 0; bin <= top; bin++) {
    const value = re[bin]! ** 2 + im[bin]! ** 2;
    power[bin] = value;
    if (bin) power[size * finer - bin] = value;
  }
  [re, im] = [power, new Float64Array(size * finer)];
  fft(re, im);
  const whole = re[0]!;
  return whole > 0 ? re.map((value) => value / whole) : null;
}

/** Pitch in Hz, 60 to 500 Hz, at `points` moments of the first `seconds`; NaN where there is none. */
export function pitch(samples: Float32Array, rate: number, points: number, seconds = samples.length / rate): Float32Array {
  const step = Math.max(1, Math.floor(rate / 16000));
  const sound = slower(samples, step);
  const slow = rate / step;
  const finer = slow < 16000 ? 2 : 1;
  const width = Math.round((3 / LOWEST) * slow); // three periods of the lowest
  let size = 1;
  while (size < 1.5 * width) size *= 2;
  const window = Float64Array.from({ length: width }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / width));
  const own = correlation(window, size, finer, 1)!;
  const band = Math.min(1, (2 * BAND_HZ) / slow);
  const peak = sound.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

  function peaks(at: number): Peak[] {
    const start = Math.round(at * slow - width / 2);
    const none = [{ hz: 0, strength: VOICED + 2 }];
    if (peak === 0 || start < 0 || start + width > sound.length) return none;
    const frame = new Float64Array(width);
    let mean = 0;
    for (let i = 0; i < width; i++) mean += sound[start + i]! / width;
    let local = 0;
    for (let i = 0; i < width; i++) {
      const value = sound[start + i]! - mean;
      local = Math.max(local, Math.abs(value));
      frame[i] = value * window[i]!;
    }
    const found = correlation(frame, size, finer, band);
    if (!found) return none;
    const r = (lag: number) => found[lag]! / own[lag]!;
    const candidates: Peak[] = [];
    const last = Math.ceil((slow * finer) / LOWEST);
    for (let lag = Math.floor((slow * finer) / HIGHEST) - 1; lag <= last; lag++) {
      const [before, here, after] = [r(lag - 1), r(lag), r(lag + 1)];
      if (here < before || here <= after) continue;
      const [slope, bend] = [(after - before) / 2, 2 * here - before - after];
      const hz = (slow * finer) / (lag + slope / bend);
      // A peak above 1 is noise's; the octave above costs less than the one below.
      const height = here + slope ** 2 / (2 * bend);
      if (hz >= LOWEST && hz <= HIGHEST) candidates.push({ hz, strength: (height > 1 ? 1 / height : height) + OCTAVE * Math.log2(hz / LOWEST) });
    }
    const quiet = Math.max(0, 2 - local / peak / (SILENT / (1 + VOICED)));
    return [{ hz: 0, strength: VOICED + quiet }, ...candidates.sort((a, b) => b.strength - a.strength).slice(0, PEAKS)];
  }

  const moments = Array.from({ length: points }, (_, p) => peaks(((p + 0.5) / points) * seconds));
  return path(moments, seconds / points);
}

/** The strongest way through the peaks, of which jumps take off: they cost more the less time they have. */
function path(moments: Peak[][], apart: number): Float32Array {
  const scale = 0.01 / apart;
  const cost = (one: number, two: number) => (one && two ? JUMP * Math.abs(Math.log2(one / two)) : one || two ? CHANGE : 0) * scale;
  let sums = moments[0]?.map((peak) => peak.strength) ?? [];
  const from: number[][] = [];
  for (let m = 1; m < moments.length; m++) {
    const steps: number[] = [];
    sums = moments[m]!.map((peak, to) => {
      let best = -Infinity;
      moments[m - 1]!.forEach((was, i) => {
        const sum = sums[i]! - cost(was.hz, peak.hz);
        if (sum > best) [best, steps[to]] = [sum, i];
      });
      return best + peak.strength;
    });
    from.push(steps);
  }
  const curve = new Float32Array(moments.length);
  let at = sums.indexOf(Math.max(...sums));
  for (let m = moments.length - 1; m >= 0; m--) {
    curve[m] = moments[m]![at]!.hz || NaN;
    at = from[m - 1]?.[at] ?? 0;
  }
  return curve;
}
