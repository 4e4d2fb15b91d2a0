// What reports say when they are opened from a disk: report.mjs FILE...

import { pathToFileURL } from "node:url";
import { check, open } from "./browser.mjs";

const { page, close } = await open();
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));
try {
  const texts = [];
  for (const file of process.argv.slice(2)) {
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector("h1");
    texts.push(await page.locator("#app").innerText());
  }
  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ texts }));
} finally {
  await close();
}
