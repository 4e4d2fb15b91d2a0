// What only happens at the edges of a sitting: edges.mjs ORIGIN SLUG. Each part says what it is about.

import { check, open } from "./browser.mjs";

const [origin, slug] = process.argv.slice(2);
const { page, close } = await open();
const errors = [];
/** When sounds are told to start and to stop, by the context's clock. */
await page.addInitScript(() => {
  globalThis.clocks = [];
  for (const name of ["start", "stop"]) {
    const act = AudioScheduledSourceNode.prototype[name];
    const own = AudioBufferSourceNode.prototype;
    const real = Object.hasOwn(own, name) ? own[name] : act;
    own[name] = function (when, ...more) {
      globalThis.clocks.push([name, when, ...more]);
      return real.call(this, when, ...more);
    };
  }
});
page.on("pageerror", (error) => errors.push(error.message));

const text = (selector) => page.locator(selector).first().textContent();
const ready = () => page.waitForFunction(() => document.querySelector(".side")?.disabled === false);
const heard = (side) => page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);

try {
  // A name that the server refuses is asked for again, and kept only when one is taken.
  const kept = () => page.evaluate(() => localStorage.getItem("rtvoice-user"));
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector("dialog[open]");
  await page.getByLabel("Name").fill("\u200c\u200d");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /visible characters/.test(document.querySelector("dialog[open] p")?.textContent ?? ""));
  check((await kept()) === null, `a name that was refused is kept: ${await kept()}`);
  await page.keyboard.type("ann");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".listen");
  await ready();
  check((await kept()) === "ann", "a name that was taken is not kept");
  await page.getByRole("button", { name: "ann", exact: true }).click();
  await page.getByLabel("Name").fill("\u200d");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /visible characters/.test(document.querySelector(".message").textContent));
  check((await kept()) === "ann", "a new name that was refused takes the place of the old");
  check((await page.getByRole("button", { name: "ann", exact: true }).count()) === 1, "the page shows a name that was refused");
  // The focus is on the button again, which the space bar would press.
  await page.locator("h1").click();

  // The time left: 36 s a clip until this person's own time is known.
  check((await text("header .quiet")) === "0 of 3 rated, about 2 min left", `at first it says ${await text("header .quiet")}`);

  // Nothing is heard at volume 0, however long it plays.
  for (let i = 0; i < 10; i++) await page.keyboard.press("-");
  check((await page.getByLabel("Volume").inputValue()) === "0", "ten times softer is not silence");
  await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(1000);
  check((await text(".side small")) === "", "what played at volume 0 counts as heard");
  check(/volume is 0/.test(await text(".message")), `at volume 0 it says: ${await text(".message")}`);
  await page.keyboard.press("1");
  check(/^Listen to both/.test(await text(".message")), "a clip that played at volume 0 could be rated");
  await page.keyboard.press("+");
  await heard(0);
  await page.keyboard.press("ArrowRight");
  await heard(1);

  // The target voice: a sound of its own beside the input, by its key.
  const names = await page.locator(".side span").allTextContents();
  check(names.join() === "Model 1,Model 2,Input,Target voice", `to listen to there is ${names}`);
  await page.keyboard.press("t");
  check((await text(".side[aria-pressed=true] span")) === "Target voice", "t does not play the target voice");
  await page.waitForFunction(() => Number.parseFloat(document.querySelector(".time").textContent) > 0);
  const told = await (await fetch(`${origin}/api/s/${slug}?user=ann`)).json();
  const sizes = [];
  for (const name of ["input", "target"]) {
    const answer = await fetch(`${origin}/audio/${told.trials[0].id}/${name}.wav`);
    check(answer.ok, `there is no ${name}`);
    sizes.push((await answer.arrayBuffer()).byteLength);
  }
  check(sizes[1] > sizes[0], "the target voice is the input");

  // A switch that starts over fades as every switch does: what ends does so 5 ms after what takes over starts.
  await page.keyboard.press("r");
  await page.evaluate(() => (globalThis.clocks.length = 0));
  await page.keyboard.press("ArrowLeft");
  const clocks = await page.evaluate(() => globalThis.clocks);
  const [starts, stops] = ["start", "stop"].map((what) => [...new Set(clocks.filter(([name]) => name === what).map(([, when]) => when))]);
  check(starts.length === 1 && stops.length === 1, `a restart starts at ${starts} and stops at ${stops}`);
  check(Math.abs(stops[0] - starts[0] - 0.005) < 1e-9, `a restart goes over in ${stops[0] - starts[0]} s`);
  // Paused it starts over as well; what is paused and goes on does so where it was.
  await page.keyboard.press(" ");
  const startOf = async (key) => {
    await page.getByLabel("Place in the clip").fill("0.3");
    await page.locator("h1").click(); // arrows move the slider that has the focus
    await page.evaluate(() => (globalThis.clocks.length = 0));
    await page.keyboard.press(key);
    await page.waitForFunction(() => globalThis.clocks.some(([name]) => name === "start"));
    const [, , offset] = await page.evaluate(() => globalThis.clocks.find(([name]) => name === "start"));
    await page.keyboard.press(" ");
    return offset;
  };
  check((await startOf("ArrowRight")) === 0, "a switch while paused does not start over");
  check(Math.abs((await startOf("ArrowRight")) - 0.3) < 0.01, "what is paused does not go on where it was");
  await page.keyboard.press("r");
  check(Math.abs((await startOf("ArrowLeft")) - 0.3) < 0.01, "a switch while paused goes to another place");

  // What was answered blind is there before the names are, and else they do not show.
  await page.route("**/votes", (route) => route.abort());
  for (const key of ["1", "2", "3", "4", "1", "2", "3"]) await page.keyboard.press(key);
  const after = /^1 of 3 rated, about 1 min left/;
  check(after.test(await text("header .quiet")), `after a quick clip it says ${await text("header .quiet")}`);
  const shows = async () => {
    await page.getByRole("button", { name: "Show which is which" }).click();
    await page.getByRole("button", { name: "Show them" }).click();
  };
  await shows();
  await page.waitForFunction(() => /not saved yet, and would not count/.test(document.querySelector(".message").textContent));
  check(!/walrus|zebra/.test(await page.content()), "names show while answers wait");
  await page.unroute("**/votes");
  await shows();
  await page.waitForFunction(() => /walrus|zebra/.test(document.querySelector(".side span").textContent));
  const votes = (await (await fetch(`${origin}/api/s/${slug}/votes.json`)).json()).filter((vote) => vote.rater === "ann");
  check(votes.length === 7 && votes.every((vote) => vote.blind), `answers given blind are kept as ${votes.map((vote) => vote.blind)}`);
  check((await page.locator(".row input:checked").count()) === 7, "showing the names leaves the clip");

  // The table over time.
  await page.goto(`${origin}/s/${slug}/results`);
  await page.waitForSelector("table");
  check((await page.locator(".course").count()) === 2, "two systems are not two lines over time");
  const days = await page.getByRole("region", { name: "Systems over time" }).locator("tbody th").allTextContents();
  check(days.join() === `${new Date().toISOString().slice(0, 10)},2026-01-02`, `the table over time has the days ${days}`);

  // A flag without a reason changes nothing and says so; with one it does, and a comparison without clips says what it is.
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector(".listen");
  await ready();
  await page.keyboard.press("f");
  await page.getByLabel("Reason").fill("   ");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /with a reason only/.test(document.querySelector(".message").textContent));
  check((await page.getByRole("button", { name: "Flag to remove" }).count()) === 1, "a clip is removed without a reason");
  await page.keyboard.press("p");
  for (const clip of [1, 2, 3]) {
    await page.waitForFunction((n) => document.querySelector("h1").textContent === `Clip ${n} of 3`, clip);
    await page.keyboard.press("f");
    await page.getByLabel("Reason").fill("a dog barks");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Bring this clip back" }).waitFor();
    await page.keyboard.press("n");
  }
  await page.waitForFunction(() => document.querySelector(".buttons [role=status]").textContent === "All saved");
  await page.evaluate(() => localStorage.setItem("rtvoice-user", "late"));
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector("[role=alert]");
  check(/^Every clip of this comparison was removed/.test(await text("[role=alert]")), `without clips it says ${await text("[role=alert]")}`);
  await page.getByRole("link", { name: "Results" }).click();
  await page.waitForSelector("table");

  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ edges: true }));
} finally {
  await close();
}
