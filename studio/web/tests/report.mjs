// What a report says when it is opened from a disk: report.mjs FILE.

import { pathToFileURL } from "node:url";
import { check, open } from "./browser.mjs";

const { page, close } = await open();
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));
try {
  await page.goto(pathToFileURL(process.argv[2]).href);
  await page.waitForSelector("h1");
  const text = await page.locator("#app").innerText();
  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ text }));
} finally {
  await close();
}
