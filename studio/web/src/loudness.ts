// Loudness by ITU-R BS.1770-4, and the gains that make clips equally loud without making any of them louder. In the browser, not on the
// server: a gain that came with the plan would tell a system by its number.

type Biquad = [number, number, number, number, number];

/** What a sound holds after the K weighting: its mean squares over steps of 10 ms, channels added up. */
export interface Weighed {
  steps: Float64Array;
  /** Mean square of all of it, also where it is shorter than a step. */
  mean: number;
  peak: number;
}

/** +4 dB above 1.7 kHz at any rate: the bilinear transform that gives the standard's figures at 48 kHz. */
function shelf(rate: number): Biquad {
  const k = Math.tan((Math.PI * 1681.974450955533) / rate);
  const [q, high] = [0.7071752369554196, 10 ** (3.999843853973347 / 20)];
  const middle = high ** 0.4996667741545416;
  const norm = 1 + k / q + k * k;
  return [(high + (middle * k) / q + k * k) / norm, (2 * (k * k - high)) / norm, (high - (middle * k) / q + k * k) / norm, (2 * (k * k - 1)) / norm, (1 - k / q + k * k) / norm];
}

/** A high pass at 38 Hz. */
function highPass(rate: number): Biquad {
  const k = Math.tan((Math.PI * 38.13547087602444) / rate);
  const q = 0.5003270373238773;
  const norm = 1 + k / q + k * k;
  return [1, -2, 1, (2 * (k * k - 1)) / norm, (1 - k / q + k * k) / norm];
}

export function weigh(channels: readonly Float32Array[], rate: number): Weighed {
  const length = channels[0]?.length ?? 0;
  const step = Math.round(rate / 100);
  const steps = new Float64Array(Math.floor(length / step));
  const [a, b] = [shelf(rate), highPass(rate)];
  let [total, peak] = [0, 0];
  for (const samples of channels) {
    let [s1, s2, h1, h2] = [0, 0, 0, 0];
    for (let i = 0; i < length; i++) {
      const x = samples[i]!;
      peak = Math.max(peak, Math.abs(x));
      const y = a[0] * x + s1;
      s1 = a[1] * x - a[3] * y + s2;
      s2 = a[2] * x - a[4] * y;
      const z = b[0] * y + h1;
      h1 = b[1] * y - b[3] * z + h2;
      h2 = b[2] * y - b[4] * z;
      const at = Math.floor(i / step);
      if (at < steps.length) steps[at] = steps[at]! + (z * z) / step;
      total += z * z;
    }
  }
  return { steps, mean: length ? total / length : 0, peak };
}

const lufs = (meanSquare: number) => -0.691 + 10 * Math.log10(meanSquare);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Integrated loudness in LUFS; null for silence. What is shorter than a block of 400 ms is measured as a whole. */
export function loudness(sound: Weighed): number | null {
  const blocks = [];
  for (let start = 0; start + 40 <= sound.steps.length; start += 10) blocks.push(mean([...sound.steps.subarray(start, start + 40)]));
  const loud = (blocks.length ? blocks : [sound.mean]).filter((power) => power > 0 && lufs(power) > -70);
  if (loud.length === 0) return null;
  const gate = mean(loud) / 10; // the relative gate, 10 LU below
  return lufs(mean(loud.filter((power) => power > gate)));
}

/** Loudness of the 400 ms around each of `points` moments of the first `seconds`, in LUFS. */
export function momentary(sound: Weighed, points: number, seconds = sound.steps.length / 100): Float32Array {
  return Float32Array.from({ length: points }, (_, p) => {
    const middle = Math.round(((p + 0.5) / points) * seconds * 100);
    let sum = 0;
    for (let i = middle - 20; i < middle + 20; i++) sum += sound.steps[i] ?? 0;
    return lufs(sum / 40 + 1e-10);
  });
}

/** Gains that bring all to the softest one's loudness, and the one of all without matching. Nothing is made louder; where a peak lies
 * above 1 all are taken down together, so that none clips; what is silent keeps its level. */
export function matchingGains(sounds: ReadonlyMap<string, Weighed>): { gains: Record<string, number>; plain: number } {
  const levels = [...sounds].map(([name, sound]) => [name, loudness(sound), sound.peak] as const);
  const softest = Math.min(...levels.map(([, level]) => level ?? Infinity));
  const gains = levels.map(([name, level]) => [name, level === null ? 1 : 10 ** ((softest - level) / 20)] as const);
  const loudest = Math.max(1, ...gains.map(([, gain], i) => gain * levels[i]![2]));
  return {
    gains: Object.fromEntries(gains.map(([name, gain]) => [name, gain / loudest])),
    plain: 1 / Math.max(1, ...levels.map(([, , peak]) => peak)),
  };
}
