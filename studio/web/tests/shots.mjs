// The pictures of docs/compare.md: shots.mjs ORIGIN SLUG USER FOLDER. Rates a few clips of its own on the way.

import { check, open } from "./browser.mjs";

const [origin, slug, user, folder] = process.argv.slice(2);

async function listen(page) {
  await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
  }
}

for (const [scheme, viewport] of [["light", { width: 1000, height: 900 }], ["dark", { width: 1000, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  const { page, close } = await open({ colorScheme: scheme === "dark" ? "dark" : "light", viewport });
  try {
    await page.goto(`${origin}/s/${slug}/results`);
    await page.waitForSelector("table");
    await page.screenshot({ path: `${folder}/compare-results-${scheme}.png`, fullPage: true });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(over <= 0, `the results are ${over} px wider than a ${scheme} window`);
    await page.goto(`${origin}/s/${slug}`);
    await page.waitForSelector("dialog");
    await page.keyboard.type(`${user} ${scheme}`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".listen");
    await listen(page);
    for (const key of ["2", "2", "3", "1"]) await page.keyboard.press(key);
    if (scheme !== "light") await page.locator("summary", { hasText: "Plots" }).click();
    await page.locator("h1").click();
    await page.waitForTimeout(1500);
    await page.evaluate(() => (document.activeElement?.blur(), window.scrollTo(0, 0)));
    await page.screenshot({ path: `${folder}/compare-${scheme}.png`, fullPage: scheme !== "phone" });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(wide <= 0, `the page is ${wide} px wider than a ${scheme} window`);
  } finally {
    await close();
  }
}
