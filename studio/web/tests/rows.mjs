// Rows of one's own, twenty with labels of sixty letters: rows.mjs ORIGIN SLUG. They fit a phone, and no key counts as answered.

import { check, open } from "./browser.mjs";

const [origin, slug] = process.argv.slice(2);
const { page, close } = await open();
try {
  const fits = async (view) => {
    for (const width of [390, 320]) {
      await page.setViewportSize({ width, height: 800 });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, `${view} is ${over} px wider than a screen of ${width}`);
    }
    await page.setViewportSize({ width: 1000, height: 900 });
  };
  await page.goto(`${origin}/s/${slug}`);
  await page.waitForSelector("dialog[open]");
  await page.keyboard.type("ann");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".side")?.disabled === false);
  check((await page.locator(".row").count()) === 20, "there are not twenty rows");
  await fits("the page");
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
  }
  // All rows but the one whose key every object has.
  for (let i = 0; i < 19; i++) await page.keyboard.press("1");
  const rated = await page.locator("header .quiet").first().textContent();
  check(/^0 of /.test(rated), `with a row left it says ${rated}`);
  await page.keyboard.press("1");
  const then = await page.locator("header .quiet").first().textContent();
  check(/^All /.test(then), `with no row left it says ${then}`);
  await page.goto(`${origin}/s/${slug}/results`);
  await page.waitForSelector("table");
  await fits("the results");
  console.log(JSON.stringify({ rows: 20 }));
} finally {
  await close();
}
