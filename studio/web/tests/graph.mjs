// The audio graph, in an offline context: equal audio stays equal through any switch, and switches move no sample.

import { build } from "esbuild";
import { check, open } from "./browser.mjs";

const bundle = await build({
  entryPoints: [new URL("../src/graph.ts", import.meta.url).pathname],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "graphs",
});
const browser = await open();
try {
  await browser.page.addScriptTag({ content: bundle.outputFiles[0].text });
  const told = await browser.page.evaluate(async () => {
    const rate = 48000;
    const length = rate;
    const noise = Float32Array.from({ length }, () => 0.9 * (2 * Math.random() - 1));

    /** Renders A and B, with switches at seconds; `until` fills B from A. */
    async function render(a, b, switches, levels = { 1: 1, 2: 1 }, changed = null) {
      const context = new OfflineAudioContext(1, length, rate);
      const buffers = new Map();
      for (const [name, samples] of [["1", a], ["2", b]]) {
        const buffer = context.createBuffer(1, length, rate);
        buffer.copyToChannel(samples, 0);
        buffers.set(name, buffer);
      }
      const graph = new graphs.Graph(context, context.destination, buffers, levels, "1");
      graph.start(0, 0, null);
      let side = "1";
      for (const time of switches) {
        // As a key does: from the context's own clock, while it runs. A context stops at multiples of 128 samples.
        const at = (Math.round((time * rate) / 128) * 128) / rate;
        void context.suspend(at).then(() => {
          side = side === "1" ? "2" : "1";
          graph.select(side, context.currentTime);
          return context.resume();
        });
      }
      if (changed) {
        void context.suspend(0.5).then(() => {
          graph.setLevels(changed, context.currentTime);
          return context.resume();
        });
      }
      return (await context.startRendering()).getChannelData(0);
    }

    const same = await render(noise, noise, [0.1, 0.2, 0.5, 0.7]);
    // The second and third come while a fade is on its way.
    const hasty = await render(noise, noise, [0.3, 0.3027, 0.3054, 0.6]);
    const worst = (out) => out.reduce((most, value, i) => Math.max(most, Math.abs(value - noise[i])), 0);

    const pulses = Float32Array.from({ length }, (_, i) => (i % 480 === 0 ? 1 : 0));
    const halves = pulses.map((value) => value / 2);
    const switched = await render(pulses, halves, [0.5]);
    const start = Math.round((0.5 * rate) / 128) * 128;
    const fade = Math.round(graphs.FADE_SECONDS * rate);
    let before = 0;
    let after = 0;
    switched.forEach((value, i) => {
      if (i < start) before = Math.max(before, Math.abs(value - pulses[i]));
      if (i > start + fade) after = Math.max(after, Math.abs(value - halves[i]));
    });
    // A restart: constant sound, so that its level is the sum of both fades; then a ramp, which shows where it is.
    async function restarted(samples) {
      const context = new OfflineAudioContext(1, length, rate);
      const buffer = context.createBuffer(1, length, rate);
      buffer.copyToChannel(samples, 0);
      const make = () => new graphs.Graph(context, context.destination, new Map([["1", buffer]]), { 1: 1 }, "1");
      const first = make();
      first.start(0, 0, null);
      void context.suspend(0.5).then(() => {
        graphs.goOver(first, make(), context.currentTime + 0.01, 0.1, null);
        return context.resume();
      });
      return (await context.startRendering()).getChannelData(0);
    }
    const steady = await restarted(new Float32Array(length).fill(1));
    const level1 = steady.slice(0, Math.round(0.85 * rate)).reduce((most, value) => Math.max(most, Math.abs(value - 1)), 0);
    const ramp = Float32Array.from({ length }, (_, i) => i / length);
    const restart = await restarted(ramp);
    const over = Math.round(Math.round((0.5 * rate) / 128) * 128 + 0.01 * rate);
    const at = (i) => restart[i] - ramp[i < over ? i : i - over + Math.round(0.1 * rate)];
    const places = [over - 1, over + fade + 1, over + 2 * fade].map((i) => Math.abs(at(i)));
    const steps = restart.slice(over, over + fade).map((value, i) => Math.abs(restart[over + i + 1] - value));
    // 6 dB apart, and matched until 0.5 s, where a row comes that is heard without that: equal before, apart after.
    const loud = noise.map((value) => value / 2);
    const soft = noise.map((value) => value / 4);
    const rows = await render(loud, soft, [0.2, 0.8], { 1: 0.5, 2: 1 }, { 1: 1, 2: 1 });
    const back = Math.round((0.8 * rate) / 128) * 128;
    let level = 0;
    rows.forEach((value, i) => {
      if (i < back || i > back + fade) level = Math.max(level, Math.abs(value - (i < back ? soft : loud)[i]));
    });
    // Every rate that a file may have, started at odd times as a player does, from odd places, in a loop with odd ends.
    const off = {};
    for (const own of [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000]) {
      const samples = Float32Array.from({ length: own / 2 }, () => 0.9 * (2 * Math.random() - 1));
      off[own] = 0;
      for (const [lead, place, ends] of [[0.01, 0, null], [0.01, 0.1234567, null], [0.0100123, 0.05, [0.0200111, 0.1500077]]]) {
        const context = new OfflineAudioContext(1, own, own);
        const buffer = context.createBuffer(1, samples.length, own);
        buffer.copyToChannel(samples, 0);
        const graph = new graphs.Graph(context, context.destination, new Map([["1", buffer]]), { 1: 1 }, "1");
        const quantum = 128 * Math.ceil(own / 1280);
        void context.suspend(quantum / own).then(() => {
          graph.start(context.currentTime + lead, place, ends && { start: ends[0], end: ends[1] });
          return context.resume();
        });
        const out = (await context.startRendering()).getChannelData(0);
        const [start, first] = [Math.round((quantum / own + lead) * own), Math.round(place * own)];
        const [from, to] = ends ? ends.map((end) => Math.round(end * own)) : [0, samples.length];
        for (let i = 0; i < start; i++) off[own] = Math.max(off[own], Math.abs(out[i]));
        for (let i = start, at = first; i < out.length && at < samples.length; i++) {
          off[own] = Math.max(off[own], Math.abs(out[i] - samples[at]));
          at += 1;
          if (ends && at === to) at = from;
        }
      }
    }
    return { off, same: worst(same), hasty: worst(hasty), before, after, level, restart: level1, place: Math.max(...places), step: Math.max(...steps) };
  });
  console.log(JSON.stringify(told));
  check(told.same <= 1e-6, `A = A parts by ${told.same}`);
  check(told.hasty <= 1e-6, `A = A parts by ${told.hasty} when a switch comes during another`);
  for (const [rate, most] of Object.entries(told.off)) check(most <= 1e-6, `at ${rate} Hz what is played is off the file by ${most}`);
  check(told.before === 0, `before the switch A is off by ${told.before}`);
  check(told.level <= 1e-6, `levels are off by ${told.level} around a change of row`);
  check(told.restart <= 1e-6, `on a restart the fades add up to 1 within ${told.restart}`);
  check(told.place <= 1e-6, `after a restart the sound is elsewhere: off by ${told.place}`);
  check(told.step < 0.42 / 240 + 1e-4, `a restart jumps by ${told.step}`);
  check(told.after <= 1e-6, `after the switch B is off by ${told.after}`);
} finally {
  await browser.close();
}
