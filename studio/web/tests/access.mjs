// Who cannot see it well, has no mouse, or a small screen: access.mjs ORIGIN SLUG. Runs axe-core over every view in light and dark, walks the
// page by Tab, and looks for anything wider than a phone.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { check, open } from "./browser.mjs";

const [origin, slug] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const told = { rules: 0, texts: 0, stops: 0 };

/** Every rule of WCAG 2.2 A and AA, contrast of 4.5:1 and targets of 24 px among them, and axe's own of good practice; in the dark, where only colours differ, contrast. */
async function inspect(page, view) {
  // Colours that are on their way would be measured halfway.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)));
  const found = await page.evaluate(async (only) => {
    const { violations, passes } = await globalThis.axe.run(document, { resultTypes: ["violations", "passes"], ...only });
    const contrast = passes.find((rule) => rule.id === "color-contrast");
    return { violations: violations.map((rule) => `${rule.id}: ${rule.nodes[0].html.slice(0, 120)} ${rule.nodes[0].failureSummary}`), rules: passes.length, texts: contrast?.nodes.length ?? 0 };
  }, view.endsWith("dark") ? { runOnly: ["color-contrast"] } : { rules: { "target-size": { enabled: true } } });
  check(found.violations.length === 0, `${view}: ${found.violations.join("; ")}`);
  check(found.texts > 0, `${view}: no text's contrast was measured`);
  told.rules = Math.max(told.rules, found.rules);
  told.texts += found.texts;
}

async function fits(page, view, targets = "input[type=checkbox], input[type=range], summary, .who a, button, .button") {
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 800 });
    const small = await page.evaluate((which) => [...document.querySelectorAll(which)].map((e) => e.getBoundingClientRect().height).filter((high) => high > 0 && high < 24), targets);
    check(small.length === 0, `${view} has targets of ${small.join(", ")} px`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(over <= 0, `${view} is ${over} px wider than a screen of ${width}`);
  }
  await page.setViewportSize({ width: 1000, height: 900 });
}

/** Presses Tab from the start to the end; what gets the focus must show it and come in the order of reading. */
async function walk(page) {
  await page.locator("h1").click(); // Tab goes on from where a click was
  const before = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      // A radio button is drawn by the text beside it.
      const drawn = element.matches(".answers input") ? element.nextElementSibling : element;
      const style = getComputedStyle(drawn);
      const all = [...document.querySelectorAll("a, button, input, textarea, summary, [tabindex]")];
      const box = drawn.getBoundingClientRect();
      const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent ?? "";
      return { index: all.indexOf(element), shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.bottom > 0 && box.top < innerHeight, name: name.trim() };
    });
    if (at === null || before.some((stop) => stop.index === at.index)) break;
    check(at.name !== "", `the ${before.length + 1}. stop of Tab has no name`);
    check(at.shown, `${at.name} does not show that it has the focus`);
    check(before.every((stop) => stop.index < at.index), `${at.name} comes too late`);
    before.push(at);
    check(before.length < 80, "Tab does not come to an end");
  }
  const reached = before.map((stop) => stop.name);
  for (const name of ["Results", "Place in the clip", "Volume", "Next clip", "Notes", "Plots", "Flag to remove", "Keys"]) {
    check(reached.some((other) => other.includes(name)), `Tab does not reach ${name}: ${reached.join(", ")}`);
  }
  told.stops = before.length;
}

for (const colorScheme of ["light", "dark"]) {
  const { page, close } = await open({ colorScheme, bypassCSP: true });
  const view = (name) => `${name} in ${colorScheme}`;
  try {
    await page.addInitScript(axe);
    await page.goto(`${origin}/`);
    await page.waitForSelector(".sessions");
    await inspect(page, view("the list"));
    if (colorScheme === "light") await fits(page, "the list", ".sessions a");
    await page.goto(`${origin}/s/${slug}`);
    await page.waitForSelector("dialog[open]");
    await inspect(page, view("the question for the name"));
    await page.keyboard.type(`a very long name that a person has ${colorScheme}`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".listen");
    await page.waitForFunction(() => !document.querySelector(".side")?.disabled);
    // Not yet heard, so nothing can be chosen; what is refused is told in colour.
    await page.keyboard.press("1");
    await inspect(page, view("a clip that is not heard"));
    for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
      await page.keyboard.press(key);
      await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
    }
    for (const key of ["1", "2", "3", "4"]) await page.keyboard.press(key);
    await page.keyboard.press(" ");
    if (colorScheme === "light") await walk(page);
    for (const words of ["Notes", "Plots"]) await page.locator("summary", { hasText: words }).click();
    await page.getByRole("button", { name: "Loop from here" }).click();
    await page.waitForSelector(".plots canvas");
    await inspect(page, view("a rated clip with notes and plots"));
    const targets = await page.locator("input[type=range], summary, .who a").count();
    check(targets === 5, `of two sliders, two summaries and a link to the results there are ${targets}`);
    if (colorScheme === "light") await fits(page, "a clip");
    await page.getByRole("link", { name: "Results" }).click();
    await inspect(page, view("the question before the results"));
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Show which is which" }).click();
    await page.getByRole("button", { name: "Show them" }).click();
    await page.waitForFunction(() => document.querySelector(".side span")?.textContent.includes(":"));
    if (colorScheme === "light") await fits(page, "a clip with its models' names");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open] table");
    await inspect(page, view("the keys"));
    await page.goto(`${origin}/s/${slug}/results`);
    await page.waitForSelector("table");
    await inspect(page, view("the results"));
    if (colorScheme === "light") await fits(page, "the results");
  } finally {
    await close();
  }
}
console.log(JSON.stringify(told));
