// Bundles the page into the Python package: static/app.js, style.css, index.html.
import { build } from "esbuild";
import { copyFileSync, mkdirSync } from "node:fs";

const out = "../src/rtvoice_studio/static";
mkdirSync(out, { recursive: true });
await build({
  entryPoints: ["src/app.ts"],
  outfile: `${out}/app.js`,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2020"],
  logLevel: "warning",
});
await build({ entryPoints: ["src/style.css"], outfile: `${out}/style.css`, minify: true, logLevel: "warning" });
copyFileSync("src/index.html", `${out}/index.html`);
