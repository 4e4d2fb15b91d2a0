// What the plots show of sounds: plots.mjs FILE, JSON as [{path, rate, points, seconds}], each path raw 32-bit floats of one channel.

import { readFileSync } from "node:fs";
import { build } from "esbuild";

const read = async (name) => {
  const entry = new URL(`../src/${name}.ts`, import.meta.url).pathname;
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm" });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);
};
const [{ pitch }, { spectrogram }, { momentary, weigh }] = await Promise.all(["pitch", "dsp", "loudness"].map(read));

const ROWS = 40;
const shown = JSON.parse(readFileSync(process.argv[2], "utf8")).map(({ path, rate, points, seconds }) => {
  const file = readFileSync(path);
  const samples = new Float32Array(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
  const { levels } = spectrogram(samples, rate, points, ROWS, seconds);
  return {
    pitch: [...pitch(samples, rate, points, seconds)].map((hz) => (Number.isNaN(hz) ? null : hz)),
    loudness: [...momentary(weigh([samples], rate), points, seconds)],
    level: Array.from({ length: points }, (_, p) => Math.max(...levels.subarray(p * ROWS, (p + 1) * ROWS))),
  };
});
console.log(JSON.stringify(shown));
