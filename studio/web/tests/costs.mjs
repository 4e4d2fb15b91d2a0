// What a report's league table says of costs: costs.mjs FILE.

import { pathToFileURL } from "node:url";
import { open } from "./browser.mjs";

const { page, close } = await open();
try {
  await page.goto(pathToFileURL(process.argv[2]).href);
  await page.waitForSelector("h1");
  const told = await page.evaluate(() => {
    const region = document.querySelector('[aria-label="Systems"]');
    const row = (tr) => [...tr.children].map((cell) => cell.textContent).slice(4);
    const charts = [...document.querySelectorAll("figure:has(svg.cost)")];
    return {
      columns: row(region.querySelector("thead tr")),
      rows: Object.fromEntries([...region.querySelectorAll("tbody tr")].map((tr) => [tr.children[0].textContent.replace(/^\d+\. /, ""), row(tr)])),
      charts: charts.map((figure) => ({ caption: figure.querySelector("figcaption").textContent, systems: figure.querySelectorAll("circle").length })),
      // How many names lie on one another.
      crowded: charts.flatMap((figure) => {
        const boxes = [...figure.querySelectorAll("text.name")].map((text) => text.getBoundingClientRect());
        return boxes.filter((one, i) => boxes.some((other, j) => j > i && one.left < other.right && other.left < one.right && one.top < other.bottom - 2 && other.top < one.bottom - 2));
      }).length,
      names: charts.flatMap((figure) => [...figure.querySelectorAll("text.name")].map((text) => text.textContent)),
      tags: charts.map((figure) => [...figure.querySelectorAll("text.tag")].map((text) => text.textContent)),
      // Lines beside the two axes, each system's interval and its time.
      leads: charts.map((figure) => figure.querySelectorAll("line").length - 2 - 2 * figure.querySelectorAll("circle").length),
      words: [...region.closest("section").querySelectorAll("p")].map((p) => p.textContent).filter((words) => words.includes("cost")),
    };
  });
  console.log(JSON.stringify(told));
} finally {
  await close();
}
