// The other ways to rate, and the report: modes.mjs ORIGIN ABX_SLUG PASSES_SLUG REPORT_FILE.

import { pathToFileURL } from "node:url";
import { check, open } from "./browser.mjs";

const [origin, abx, passes, report] = process.argv.slice(2);
const { page, close } = await open();
const errors = [];
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
  await page.keyboard.press("x");
  check((await page.locator(".side[aria-pressed=true] span").textContent()) === "X", "x does not play X");
  await page.keyboard.press("1");
  await saved();
  const told = await (await fetch(`${origin}/api/s/${abx}/results`)).json();

  await enter(passes);
  check((await title()) === "Clip 1 of 21", `three clips along seven dimensions are 21 steps, not ${await title()}`);
  check((await page.locator(".row").count()) === 1, "a pass shows one dimension");
  await page.keyboard.press("4");
  await saved();
  for (let step = 0; step < 6; step++) await page.keyboard.press("n");
  await page.waitForFunction(() => document.querySelector("h1").textContent === "Clip 7 of 21");
  const matched = await page.locator(".options .quiet").textContent();
  check((await page.locator("legend").textContent()) === "Energy", "the third pass is Energy");
  check(matched === "Loudness as it is", `in the Energy row it says ${matched}`);

  // A flag, a note, a link: each by what a reader of the screen has.
  await page.getByRole("button", { name: "Flag to remove" }).click();
  await page.getByLabel("Reason").fill("a dog barks");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Bring this clip back" }).waitFor();
  await page.locator("summary", { hasText: "Notes" }).click();
  await page.getByLabel("Model 2").last().fill("<b>buzz</b>");
  await page.getByLabel("This clip").focus();
  await saved();
  await page.getByRole("button", { name: "Link to this clip" }).click();
  const link = await page.locator("dialog a").getAttribute("href");
  check(/\?clip=[0-9a-f]{16}$/.test(link), `the link ${link} tells more than the clip`);
  await page.getByRole("button", { name: "Close" }).click();
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
