// The other ways to rate, every key, and the report: modes.mjs ORIGIN ABX_SLUG PASSES_SLUG REPORT_FILE OWN_FILE.

import { pathToFileURL } from "node:url";
import { check, open } from "./browser.mjs";

const [origin, abx, passes, report, own, long, hours] = process.argv.slice(2);
const { page, close } = await open();
const errors = [];
/** The rates of the page's audio contexts. */
await page.addInitScript(() => {
  globalThis.rates = [];
  globalThis.AudioContext = class extends AudioContext {
    constructor(options) {
      super(options);
      globalThis.rates.push(this.sampleRate);
    }
  };
});
page.on("pageerror", (error) => errors.push(error.message));

async function enter(slug) {
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector("dialog[open], .listen");
  if (await page.locator("dialog[open]").count()) {
    await page.keyboard.type("ann");
    await page.keyboard.press("Enter");
  }
  await page.waitForSelector(".listen");
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
}

async function listen() {
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
  }
}

const saved = () => page.waitForFunction(() => document.querySelector(".buttons [role=status]").textContent === "All saved");
const title = () => page.locator("h1").textContent();

try {
  await enter(abx);
  await listen();
  check((await page.locator(".row").count()) === 1, "an ABX test has one question");
  check((await page.locator(".row input").count()) === 3, "an ABX test has no 'Both'");
  await page.keyboard.press("1");
  check(/to X before/.test(await page.locator(".message").first().textContent()), "an ABX test takes an answer before X was heard");
  await page.keyboard.press("x");
  check((await page.locator(".side[aria-pressed=true] span").textContent()) === "X", "x does not play X");
  await page.waitForFunction(() => document.querySelectorAll(".side small")[2].textContent === "heard");
  // Another store at this address, which knows no such comparison, is waited out.
  await page.route("**/votes", (route) => route.fulfill({ status: 404, contentType: "application/json", body: '{"error":"there is no such comparison"}' }));
  await page.keyboard.press("1");
  await page.waitForFunction(() => /^1 not saved yet, kept in this browser: there is no such/.test(document.querySelector(".buttons [role=status]").textContent));
  await page.unroute("**/votes");
  await saved();
  // Before a step was timed, what is left is guessed by what a step asks for.
  const left = async () => (await page.locator("header .quiet").first().textContent()).match(/about (\d+) min/)[1];
  const told = await (await fetch(`${origin}/api/s/${abx}/results`)).json();
  // A storage that is full loses no answer.
  await page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await page.keyboard.press("4");
  await saved();
  const votes = await (await fetch(`${origin}/api/s/${abx}/votes.json`)).json();
  check(votes.map((vote) => vote.side).join() === "1,skip", `of two answers the server has ${votes.map((vote) => vote.side)}`);

  await enter(passes);
  check((await title()) === "Clip 1 of 21", `three clips along seven dimensions are 21 steps, not ${await title()}`);
  check((await page.locator(".row").count()) === 1, "a pass shows one dimension");
  check((await left()) === "5", `21 steps of one row each are said to take ${await left()} min`);
  // A pair that the server does not know is set aside and kept; what was said later goes on, and at the next visit it is sent again.
  await page.evaluate((slug) => {
    const body = { user: "ann", trial: "0".repeat(24), plays: { 1: 1, 2: 1 }, heardMs: { 1: 9, 2: 9 }, dwellMs: 1, votes: [] };
    localStorage.setItem(`rtvoice-out:${slug}:000000000000001:x`, JSON.stringify({ path: `/api/s/${slug}/votes`, body }));
  }, passes);
  await page.keyboard.press("4");
  await page.waitForFunction(() => /^All others saved; 1 answer set aside/.test(document.querySelector(".buttons [role=status]").textContent));
  const kept = await (await fetch(`${origin}/api/s/${passes}/votes.json`)).json();
  check(kept.map((vote) => vote.side).join() === "skip", `behind an unknown pair the server has ${kept.map((vote) => vote.side)}`);
  const answered = page.waitForResponse((response) => (response.request().postData() ?? "").includes("0".repeat(24)));
  await enter(passes);
  await answered;
  // It is set aside again: what is removed before that would come back.
  await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.startsWith("rtvoice-aside:")));
  await page.waitForFunction(() => /set aside/.test(document.querySelector(".buttons [role=status]").textContent));
  await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("rtvoice-aside:")).forEach((key) => localStorage.removeItem(key)));
  await page.keyboard.press("p");
  await page.waitForFunction(() => document.querySelector("h1").textContent === "Clip 1 of 21");
  await page.keyboard.press("4");
  await saved();
  for (let step = 0; step < 6; step++) await page.keyboard.press("n");
  await page.waitForFunction(() => document.querySelector("h1").textContent === "Clip 7 of 21");
  const matched = await page.locator(".options .quiet").textContent();
  check((await page.locator("legend").textContent()) === "Energy", "the third pass is Energy");
  check(matched === "Loudness as it is", `in the Energy row it says ${matched}`);

  // Every key does what the list of keys says.
  await page.keyboard.press("?");
  check((await page.locator("dialog table tr").count()) === 17, "the list of keys is not the one tested here");
  await page.keyboard.press("Escape");
  const time = async () => Number.parseFloat(await page.locator(".time").textContent());
  const volume = () => page.getByLabel("Volume").inputValue();
  const shown = async (words, test) => {
    for (let tries = 0; !(await test()); tries++) {
      check(tries < 100, words);
      await page.waitForTimeout(50);
    }
  };
  await page.keyboard.press("p");
  await shown("p does not go back", async () => (await title()) === "Clip 6 of 21");
  await page.keyboard.press("Enter");
  await shown("Enter does not go on", async () => (await title()) === "Clip 7 of 21");
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  const side = async () => page.locator(".side[aria-pressed=true] span").textContent();
  await page.keyboard.press("l"); // on a busy machine the clip's 0.8 s are over between two keys
  for (const [key, name] of [["i", "Input"], ["x", "Model 1"], ["x", "Model 2"], ["t", "Model 2"], ["ArrowLeft", "Model 1"]]) {
    await page.keyboard.press(key);
    check((await side()) === name, `${key} plays ${await side()}, not ${name}`);
  }
  await page.keyboard.press(" ");
  check((await page.locator(".transport button").textContent()) === "Play", "space does not pause");
  await page.keyboard.press("l");
  for (const key of [",", ","]) await page.keyboard.press(key);
  check((await time()) === 0, ", does not go back");
  await page.keyboard.press(".");
  check((await time()) === 0.8, ". does not go on");
  for (const key of ["-", "-", "+"]) await page.keyboard.press(key);
  check((await volume()) === "0.9", `-, - and + make the volume ${await volume()}`);
  await page.keyboard.press("r");
  check(await page.getByLabel("Start over on a switch").isChecked(), "r does not start over");
  const at = (seconds) =>
    page.evaluate((value) => {
      const seek = document.querySelector(".transport input");
      seek.value = String(value);
      seek.dispatchEvent(new Event("input"));
    }, seconds);
  // Read where the key is pressed: the clip takes 0.8 s.
  const after = (key) =>
    page.evaluate((pressed) => {
      document.dispatchEvent(new KeyboardEvent("keydown", { key: pressed, bubbles: true }));
      return Number.parseFloat(document.querySelector(".time").textContent);
    }, key);
  await at(0.5);
  await page.keyboard.press(" ");
  check((await after("x")) < 0.2, "a switch does not start over");
  await page.keyboard.press(" ");
  await page.keyboard.press("r");
  check((await page.evaluate(() => globalThis.rates.join())) === "16000", "the sound does not run at the file's rate");
  check(!(await page.getByLabel("Start over on a switch").isChecked()), "r does not go on");
  // A loop from the middle, which playing does not leave.
  await at(0.4);
  await page.keyboard.press("[");
  await page.keyboard.press(" ");
  const places = [];
  for (let i = 0; i < 30; i++) {
    places.push(await time());
    await page.waitForTimeout(40);
  }
  check(Math.min(...places) >= 0.4, `a loop from 0.4 s came to ${Math.min(...places)}`);
  check(places.some((place, i) => i > 0 && place < places[i - 1]), "the loop does not come around");
  await page.keyboard.press(" ");
  await at(0.6);
  await page.keyboard.press("]");
  check((await page.getByRole("button", { name: /^Loop 0.4 to 0.6 s/ }).count()) === 1, "] does not end the loop");
  await page.keyboard.press("\\");
  check((await page.getByRole("button", { name: "Loop from here" }).count()) === 1, "\\ does not take the region away");
  // At either end of the clip a loop lies within it, and sounds.
  for (const [place, key, words] of [[0.05, "]", /^Loop 0.0 to 0.1 s/], [0.79, "[", /^Loop 0.7 to 0.8 s/]]) {
    await at(place);
    await page.keyboard.press(key);
    check((await page.getByRole("button", { name: words }).count()) === 1, `${key} at ${place} s does not loop within the clip`);
    await page.keyboard.press(" ");
    await page.waitForFunction(() => document.querySelector(".transport .primary").textContent.includes("Pause"));
    await page.keyboard.press(" ");
    check(errors.length === 0, `with ${key} at ${place} s: ${errors.join("; ")}`);
    await page.keyboard.press("\\");
  }
  await page.keyboard.press("l");
  check(!(await page.getByLabel("Loop", { exact: true }).isChecked()), "l does not end the loop");
  await page.keyboard.press("l");
  await page.keyboard.press("s");
  await page.keyboard.press("u");
  await shown("u does not find what is not rated", async () => (await title()) === "Clip 8 of 21");
  await page.keyboard.press("p");
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);

  // An own file is heard, and nothing can be rated meanwhile; plots are drawn or not.
  await listen();
  const choosing = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Own file as Model 2" }).click();
  await (await choosing).setFiles(own);
  await shown("the own file is not there", async () => (await page.locator(".side small").nth(1).textContent()) === "own file");
  await page.keyboard.press("2");
  check((await page.locator(".message").textContent()).startsWith("A recording of your own"), "an own file was rated");
  await page.getByRole("button", { name: "Back to the pair" }).click();
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  await page.locator("summary", { hasText: "Plots" }).click();
  await page.waitForSelector("canvas");
  check((await page.locator("canvas").count()) === 6, "three spectrograms, their difference, pitch and loudness");
  await page.getByRole("checkbox", { name: "Pitch" }).uncheck();
  check((await page.locator("canvas").count()) === 5, "pitch cannot be left out");

  // Own files of other lengths: one axis as long as the longest, on which all that plays and all that is drawn stands.
  const load = async (file, side) => {
    const chosen = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: `Own file as Model ${side}` }).click();
    await (await chosen).setFiles(file);
    await shown("the own file is not there", async () => (await page.locator(".side small").nth(side - 1).textContent()) === "own file");
  };
  const seconds = async () => [await page.locator(".time").textContent(), await page.getByLabel("Place in the clip").getAttribute("max")].join();
  /** The parts of the width between which a spectrogram has sound. */
  const drawn = (nth) =>
    page.locator("canvas").nth(nth).evaluate((canvas) => {
      const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const bright = Array.from({ length: width }, (_, x) => x).filter((x) => Array.from({ length: canvas.height }, (_, y) => data[4 * (y * width + x)]).some((red) => red > 100));
      return [bright[0] / width, (bright.at(-1) + 1) / width].map((part) => Math.round(20 * part) / 20);
    });
  await load(long, 2);
  await shown("the place in the clip has not the long file's length", async () => (await seconds()).endsWith("/ 3.2 s,3.2"));
  check((await page.locator(".message").textContent()).startsWith("A recording of your own"), "with an own file it asks to listen and choose");
  check((await drawn(1)).join() === "0.75,1", `the end of a file of 3.2 s is drawn at ${await drawn(1)}`);
  check((await drawn(0))[1] <= 0.3, `the clip of 0.8 s beside it is drawn at ${await drawn(0)}`);
  await page.evaluate(() => {
    globalThis.lengths = [];
    const { start } = AudioBufferSourceNode.prototype;
    AudioBufferSourceNode.prototype.start = function (...when) {
      globalThis.lengths.push(this.buffer.duration);
      return start.apply(this, when);
    };
  });
  await at(2);
  await page.locator("h1").click();
  await page.keyboard.press(" ");
  await page.waitForTimeout(200);
  await page.keyboard.press(" ");
  check((await time()) > 2, "the rest of a file that is longer than the clip cannot be reached");
  const lengths = await page.evaluate(() => globalThis.lengths);
  check(lengths.length === 3 && lengths.every((length) => Math.abs(length - 3.2) < 1e-9), `what plays at once is ${lengths} s long`);
  await load(own, 2);
  await shown("the clip's own length is not back", async () => (await seconds()).endsWith("/ 0.8 s,0.8"));
  const chosen = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Own file as Model 1" }).click();
  await (await chosen).setFiles(hours);
  await shown("a file of more than 5 minutes is taken", async () => /longer than 5 minutes/.test(await page.locator(".message").textContent()));
  check((await seconds()).endsWith("/ 0.8 s,0.8"), "a file that was refused changes the length");
  await page.getByRole("button", { name: "Back to the pair" }).click();
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  // An own file that is still being read when the rater goes on is of the clip before, not of the next.
  await page.evaluate(() => {
    const { decodeAudioData } = BaseAudioContext.prototype;
    BaseAudioContext.prototype.decodeAudioData = async function (bytes) {
      BaseAudioContext.prototype.decodeAudioData = decodeAudioData;
      await new Promise((resolve) => (globalThis.decode = resolve));
      const buffer = await decodeAudioData.call(this, bytes);
      setTimeout(() => (globalThis.decoded = true), 50);
      return buffer;
    };
  });
  const late = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Own file as Model 2" }).click();
  await (await late).setFiles(own);
  await page.waitForFunction(() => globalThis.decode);
  const passed = await title();
  await page.keyboard.press("n");
  await shown("n stays", async () => (await title()) !== passed);
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  await page.evaluate(() => globalThis.decode());
  await page.waitForFunction(() => globalThis.decoded);
  check(!(await page.locator(".side small").allTextContents()).includes("own file"), "an own file lands on the next clip");
  for (const name of ["Random clip", "Random clean clip"]) {
    const before = await title();
    await page.getByRole("button", { name }).click();
    await shown(`${name} stays`, async () => (await title()) !== before || (await page.locator(".message").textContent()).startsWith("There is no other"));
  }

  // A flag, a note, a link: each by what a reader of the screen has.
  await page.getByRole("button", { name: "Flag to remove" }).click();
  await page.getByLabel("Reason").fill("a dog barks");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Bring this clip back" }).waitFor();
  await page.locator("summary", { hasText: "Notes" }).click();
  // A crash in the middle of a word, the server away: what was written is there again, and sent.
  await page.context().setOffline(true);
  const noted = await title();
  await page.getByLabel("Model 2").last().pressSequentially("<b>buzz</b>");
  await page.context().setOffline(false);
  await page.reload();
  await page.waitForSelector(".listen");
  const [, index] = noted.match(/Clip (\d+) of/);
  for (let step = Number((await title()).match(/\d+/)[0]); step !== Number(index); step += step < Number(index) ? 1 : -1) {
    await page.keyboard.press(step < Number(index) ? "n" : "p");
  }
  await shown("the clip with the note is not found", async () => (await title()) === noted);
  await page.locator("summary", { hasText: "Notes" }).click();
  check((await page.getByLabel("Model 2").last().inputValue()) === "<b>buzz</b>", "a note that was being written is lost");
  await saved();
  await page.getByRole("button", { name: "Link to this clip" }).click();
  const link = await page.locator("dialog a").getAttribute("href");
  check(/\?clip=[0-9a-f]{16}$/.test(link), `the link ${link} tells more than the clip`);
  await page.goto(link);
  await page.waitForSelector(".listen");
  const [of, from] = [await title(), noted].map((words) => (Number(words.match(/\d+/)[0]) - 1) % 3);
  check(of === from, `the link to ${noted} leads to ${await title()}`);
  await page.goto(`${origin}/s/${passes}/results`);
  await page.waitForSelector("table");
  check((await page.content()).includes("&lt;b&gt;buzz"), "a note is not text on the results page");

  await page.goto(pathToFileURL(report).href);
  await page.waitForSelector("table");
  check((await page.locator("h2").first().textContent()) === "In words", "the report shows no results");
  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ abx: told.abx.trials }));
} finally {
  await close();
}
