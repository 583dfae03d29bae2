// SPDX-License-Identifier: MIT
// look.js FOLDER CHROMIUM NAME...: opens FOLDER/NAME.html in each window, and prints what is wrong. Called by look.
"use strict";
const fs = require("fs");
const path = require("path");
const [folder, executablePath, ...names] = process.argv.slice(2);
const { chromium } = require(path.join(folder, "node_modules", "playwright-core"));
const axe = fs.readFileSync(path.join(folder, "node_modules", "axe-core", "axe.min.js"), "utf8");
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const WINDOWS = [[1000, "light"], [1000, "dark"], [360, "light"], [360, "dark"], [320, "light"]];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
let faults = 0;

function fault(where, what) {
  faults += 1;
  console.log(`${where}: ${what}`);
}

// In the page: texts of the pictures that overlap or stick out.
function collisions() {
  const found = [];
  for (const svg of document.querySelectorAll("svg.picture")) {
    if (getComputedStyle(svg).display === "none") continue;
    const edge = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
    texts.forEach(([text, a], i) => {
      if (a.left < edge.left - 1 || a.right > edge.right + 1) found.push(`${text} sticks out`);
      for (const [other, b] of texts.slice(i + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom - 3 <= b.top || b.bottom - 3 <= a.top;
        if (!apart) found.push(`${text} / ${other}`);
      }
    });
  }
  return found;
}

async function look(browser, name, width, scheme) {
  const where = `${name}, ${width} px, ${scheme}`;
  const url = `file://${folder}/${name}.html`;
  const options = { viewport: { width, height: 900 }, colorScheme: scheme };
  const page = await browser.newPage(options);
  page.on("request", (request) => request.url() === url || fault(where, `asks for ${request.url()}`));
  page.on("console", (message) => fault(where, message.text()));
  page.on("dialog", (dialog) => fault(where, `says ${dialog.message()}`));
  await page.goto(url);
  const whole = await page.evaluate(() => document.documentElement.scrollWidth);
  if (whole > width) fault(where, `${whole} px wide`);
  for (const text of await page.evaluate(collisions)) fault(where, text);
  await page.screenshot({ path: `${folder}/${name}-${scheme}-${width}.png`, fullPage: true, timeout: 120000 });
  if (width === 1000 && scheme === "dark") await page.pdf({ path: `${folder}/${name}.pdf`, format: "A4", preferCSSPageSize: true });
  await page.close();
  const context = await browser.newContext({ ...options, bypassCSP: true });
  const tested = await context.newPage();
  await tested.goto(url);
  await tested.addScriptTag({ content: axe });
  const report = await tested.evaluate((rules) => axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), RULES);
  if (report.passes.length < 20) fault(where, "axe-core has hardly tested anything");
  for (const violation of report.violations) fault(where, `${violation.help}: ${violation.nodes[0].html}`);
  await context.close();
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ARGS });
  for (const name of names) for (const [width, scheme] of WINDOWS) await look(browser, name, width, scheme);
  await browser.close();
  process.exit(faults ? 1 : 0);
})();
