// Whole sessions by keyboard, two browsers at once, through reloads and a killed server: session.mjs CLIPS PORT SECRETS COMMAND...
// Checks that every answer given is in the store, and that nothing the browsers were sent holds one of the SECRETS.

import { spawn } from "node:child_process";
import { check, open } from "./browser.mjs";

const [clipsText, port, secretsText, ...command] = process.argv.slice(2);
const clips = Number(clipsText);
const secrets = secretsText.split(",");
const origin = `http://127.0.0.1:${port}`;

let server;
async function serve() {
  server = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  server.stdout.resume();
  for (let tries = 0; tries < 600; tries++) {
    try {
      await fetch(`${origin}/api/sessions`);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error("the server did not start");
}

function kill() {
  return new Promise((resolve) => {
    server.once("exit", resolve);
    server.kill("SIGKILL");
  });
}

const leaks = [];
/** How long each model's sound let wait for its first byte, ms: "trial side" to one time per load. */
const waits = new Map();
/** What is asked for, in order, by trial. */
const asked = new Map();
function watch(page, user) {
  const look = (where, text) => {
    for (const secret of secrets) if (text.includes(secret)) leaks.push(`${secret} in ${where} of ${user}`);
  };
  page.on("request", (request) => {
    look(`the address ${request.url()}`, request.url());
    const [, trial, side] = request.url().match(/\/audio\/([0-9a-f]+)\/(\w+)\.wav$/) ?? [];
    if (trial) asked.set(trial, [...(asked.get(trial) ?? []), side]);
  });
  page.on("requestfinished", (request) => {
    const [, trial, side] = request.url().match(/\/audio\/([0-9a-f]+)\/([12])\.wav$/) ?? [];
    const { requestStart, responseStart } = request.timing();
    if (trial && responseStart >= 0) waits.set(`${trial} ${side}`, [...(waits.get(`${trial} ${side}`) ?? []), responseStart - requestStart]);
  });
  page.on("response", async (response) => {
    look("headers", JSON.stringify(response.headers()));
    if (response.headers()["content-type"]?.includes("audio")) return;
    try {
      look(`the answer to ${response.url()}`, await response.text());
    } catch {
      // Gone with a reload.
    }
  });
  return async () => look("the page", await page.content());
}

const given = new Map();
const text = (page, selector) => page.locator(selector).textContent();

/** Reloads and comes back to a clip; as a person does, again where the server is just away. */
async function reload(page, index) {
  for (let tries = 0; ; tries++) {
    try {
      await page.reload();
      await page.waitForSelector(".listen", { timeout: 15000 });
      break;
    } catch (error) {
      if (tries === 10) throw error;
      await page.waitForTimeout(500);
    }
  }
  const at = Number((await text(page, "h1")).match(/\d+/)[0]) - 1;
  if (at === index + 1) await page.keyboard.press("p");
  await page.waitForFunction((n) => document.querySelector("h1")?.textContent?.startsWith(`Clip ${n} of`), index + 1);
}

/** Listens to both models, answers every row, goes on. */
async function rate(page, user, trials, index, rows) {
  await page.waitForFunction((n) => document.querySelector("h1")?.textContent?.startsWith(`Clip ${n} of`), index + 1);
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
  }
  for (let row = 0; row < rows.length; row++) {
    const answer = ["1", "2", "3", "4"][(index * 3 + row * 5 + user.length) % 4];
    await page.keyboard.press(answer);
    given.set(`${user} ${trials[index].id} ${rows[row].key}`, { 1: "1", 2: "2", 3: "both", 4: "skip" }[answer]);
  }
}

async function sit(user, slug, events) {
  const { page, close } = await open();
  try {
    const inspect = watch(page, user);
    page.on("pageerror", (error) => leaks.push(`an error in the page of ${user}: ${error.message}`));
    await page.goto(`${origin}/s/${slug}`);
    await page.keyboard.type(user);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".listen");
    const plan = await (await fetch(`${origin}/api/s/${slug}?user=${user}`)).json();
    check(plan.trials.length === clips, `${plan.trials.length} clips, not ${clips}`);
    // A choice before both are heard is refused.
    await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
    await page.keyboard.press("1");
    check((await text(page, ".message")).includes("Listen to both"), "an unheard clip could be rated");
    check((await page.locator("details[open] .plots").count()) === 0, "plots show while blind");
    for (let index = 0; index < clips; index++) {
      await rate(page, user, plan.trials, index, plan.dimensions);
      await inspect();
      await events(index, page);
      if (index + 1 < clips) await page.keyboard.press("Enter");
    }
    await page.waitForFunction(() => document.querySelector(".buttons [role=status]").textContent === "All saved");
    check((await text(page, "header .quiet")).startsWith("All rated"), "the session does not end as rated");
  } finally {
    await close();
  }
}

let waitingForServer = null;
await serve();
try {
  const slug = (await (await fetch(`${origin}/api/sessions`)).json())[0].slug;
  const middle = Math.floor(clips / 2);
  const first = sit("ann", slug, async (index, page) => {
    if (index !== middle) return;
    // The server dies; answers are given all the same; the page is reloaded once it is back, with answers still unsent.
    await kill();
    waitingForServer = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await serve();
    })();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("4");
    await page.waitForFunction(() => document.querySelector(".buttons [role=status]").textContent.includes("not saved yet"));
    const rows = await page.locator(".row").count();
    const keys = await page.evaluate(() => [...document.querySelectorAll(".row input:checked")].map((input) => [input.name, input.value]));
    for (const [name, value] of keys) given.set(`ann ${name.slice(0, 24)} ${name.slice(25)}`, value);
    check(keys.length === rows, "an answer left the page");
    await waitingForServer;
    await reload(page, index);
    const shown = await page.locator(".row input:checked").count();
    check(shown === rows, `after the reload ${shown} of ${rows} answers show`);
  });
  const second = sit("bo", slug, async (index, page) => {
    if (index === 1) await reload(page, index);
  });
  await Promise.all([first, second]);

  const kept = new Map();
  for (const user of ["ann", "bo"]) {
    const plan = await (await fetch(`${origin}/api/s/${slug}?user=${user}`)).json();
    for (const trial of plan.trials) for (const [row, side] of Object.entries(trial.answers)) kept.set(`${user} ${trial.id} ${row}`, side);
  }
  const lost = [...given].filter(([key, side]) => kept.get(key) !== side);
  check(lost.length === 0, `${lost.length} of ${given.size} answers lost, the first: ${lost[0]}; kept ${kept.get(lost[0]?.[0])}`);
  check(kept.size === given.size, `${kept.size} answers kept, ${given.size} given`);
  check(leaks.length === 0, `blinding leaks: ${leaks.slice(0, 3).join("; ")}`);
  for (const [trial, sides] of asked) {
    const whole = sides.length % 3 === 0 && sides.every((side, i) => side === ["1", "2", "input"][i % 3]);
    // A load that a killed server or a reload cut short may stand in between.
    check(whole || sides.every((side) => ["1", "2", "input"].includes(side)) && sides.slice(0, 3).join() === "1,2,input", `the sounds of ${trial} are asked for as ${sides}`);
  }
  // Afterwards it is told which is which: did the one system's sounds come sooner than the other's?
  const waited = { pairs: 0, first: 0 };
  for (const user of ["ann", "bo"]) {
    const plan = await (await fetch(`${origin}/api/s/${slug}?user=${user}&open=1`)).json();
    for (const { id, names } of plan.trials) {
      const [one, two] = [waits.get(`${id} 1`)?.[0], waits.get(`${id} 2`)?.[0]];
      if (names["1"] === names["2"] || one === undefined || two === undefined || one === two) continue;
      waited.pairs += 1;
      waited.first += Number((one < two ? names["1"] : names["2"]) < (one < two ? names["2"] : names["1"]));
    }
  }
  console.log(JSON.stringify({ answers: given.size, lost: lost.length, leaks: leaks.length, waited }));
} finally {
  await waitingForServer?.catch(() => {});
  await kill();
}
