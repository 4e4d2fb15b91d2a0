// What the browser tests share: Debian's Chromium with a profile of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A page in the background of another counts and plays as one in front.
  "--disable-renderer-backgrounding",
  "--disable-background-timer-throttling",
];

/** Opens a browser; `close` ends it and removes its profile. */
export async function open(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "rtvoice-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    viewport: { width: 1000, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(60000);
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, page: context.pages()[0] ?? (await context.newPage()), close };
}

export function check(holds, words) {
  if (!holds) throw new Error(words);
}
