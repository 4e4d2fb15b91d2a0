// What the page measures of sounds: loudness.mjs FILE, JSON as [{path, rate, channels}], each path raw 32-bit floats, frame by frame.

import { readFileSync } from "node:fs";
import { build } from "esbuild";

const entry = new URL("../src/loudness.ts", import.meta.url).pathname;
const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm" });
const { loudness, matchingGains, weigh } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);

const sounds = JSON.parse(readFileSync(process.argv[2], "utf8")).map(({ path, rate, channels }) => {
  const file = readFileSync(path);
  const all = new Float32Array(file.buffer, file.byteOffset, file.length / 4);
  return weigh(Array.from({ length: channels }, (_, c) => Float32Array.from({ length: all.length / channels }, (_, i) => all[i * channels + c])), rate);
});
const { gains, plain } = matchingGains(new Map(sounds.map((sound, i) => [String(i), sound])));
console.log(JSON.stringify({ levels: sounds.map(loudness), gains: sounds.map((_, i) => gains[i]), plain }));
