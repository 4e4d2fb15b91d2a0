// What only happens at the edges of a sitting: edges.mjs ORIGIN SLUG. Each part says what it is about.

import { check, open } from "./browser.mjs";

const [origin, slug] = process.argv.slice(2);
const { page, close } = await open();
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));

const text = (selector) => page.locator(selector).first().textContent();
const ready = () => page.waitForFunction(() => document.querySelector(".side")?.disabled === false);
const heard = (side) => page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);

try {
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector("dialog[open]");
  await page.keyboard.type("ann");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".listen");
  await ready();

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

  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ edges: true }));
} finally {
  await close();
}
