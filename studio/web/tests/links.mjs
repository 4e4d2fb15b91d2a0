// A link to a clip that is none of this rater's sitting: links.mjs ORIGIN SLUG. It is heard blind, apart from the sitting, by keyboard.

import { check, open } from "./browser.mjs";

const [origin, slug] = process.argv.slice(2);
const api = async (path) => (await fetch(`${origin}/api/s/${slug}${path}`)).json();
const { page, close } = await open();
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));

const title = () => page.locator("h1").textContent();
const ready = () => page.waitForFunction(() => document.querySelector(".side")?.disabled === false);
const saved = () => page.waitForFunction(() => document.querySelector(".buttons [role=status]").textContent === "All saved");

try {
  // Of ann's three clips one at least is none of this name's three.
  const links = [];
  for (const { id } of (await api("?user=ann")).trials) links.push((await api(`/share/${id}?user=ann`)).key);
  let found = null;
  for (let i = 0; !found; i++) {
    await api(`?user=bob${i}`);
    for (const key of links) if ((await api(`?user=bob${i}&clip=${key}`)).linked) found = { user: `bob${i}`, key };
  }
  await page.goto(`${origin}/s/${slug}?clip=${found.key}`);
  await page.waitForSelector("dialog[open]");
  await page.keyboard.type(found.user);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".outside");
  await ready();
  check((await title()) === "A clip from a link", `the clip of a link is called ${await title()}`);
  check(/do not count/.test(await page.locator(".outside").textContent()), "it is not said that answers do not count");
  check(/^0 of 3 rated/.test(await page.locator("header .quiet").textContent()), "a clip from a link is part of the sitting");
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => document.querySelectorAll(".side small")[n].textContent === "heard", side);
  }
  await page.keyboard.press("i");
  check((await page.locator(".side[aria-pressed=true] span").textContent()) === "Input", "the input of a linked clip is not heard");
  check(!/walrus|zebra|clip0/.test(await page.content()), "a clip from a link tells what is compared");
  await page.keyboard.press("2");
  await saved();
  check(/^0 of 3 rated/.test(await page.locator("header .quiet").textContent()), "an answer to a clip from a link counts as progress");
  const votes = await api("/votes.json");
  check(votes.map((vote) => `${vote.kind} ${vote.side}`).join() === "extra 2", `kept: ${JSON.stringify(votes)}`);
  // A reload stays on it; from there Enter leads to the sitting, whose clips are what they were.
  await page.reload();
  await page.waitForSelector(".outside");
  await ready();
  check(await page.locator(".row input[value='2']").first().isChecked(), "the answer to a linked clip is gone after a reload");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("h1").textContent === "Clip 1 of 3");
  check((await page.locator(".outside").count()) === 0, "the sitting is called a clip from a link");
  for (const number of [2, 3]) {
    await page.keyboard.press("Enter");
    await page.waitForFunction((n) => document.querySelector("h1").textContent === `Clip ${n} of 3`, number);
  }
  // The address forgets the link when its clip is left: a reload leads back to the sitting.
  check(!page.url().includes("clip="), `after the linked clip the address is ${page.url()}`);
  await page.reload();
  await page.waitForSelector(".listen");
  check((await page.locator(".outside").count()) === 0, "a reload leads back to the clip of a link");
  // A link to nothing says so, and shows the sitting.
  await page.goto(`${origin}/s/${slug}?clip=${"0".repeat(16)}`);
  await page.waitForFunction(() => /leads to no clip/.test(document.querySelector(".message")?.textContent ?? ""));
  check((await title()) === "Clip 1 of 3", `a link to nothing shows ${await title()}`);
  check(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ kept: votes.length }));
} finally {
  await close();
}
