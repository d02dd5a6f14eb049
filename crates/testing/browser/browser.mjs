// What every browser script uses: a browser, screenshots, and the check for accessibility.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const npm = createRequire(join(process.env.LEASEHOLD_NPM, "package.json"));
const { chromium } = npm("playwright-core");
const axeSource = readFileSync(npm.resolve("axe-core/axe.min.js"), "utf8");

/** Starts the browser, runs `story` in a fresh profile of it, and ends it whatever happens. */
export async function withBrowser(story, { width = 1280, height = 900, colorScheme = "light" } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.LEASEHOLD_CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    // The pages' own content security policy is in force; what a debugger evaluates is not subject to it.
    const context = await browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(`script error: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`console: ${message.text()} (${page.url()})`);
    });
    await story({ browser, context, page, complaints });
  } finally {
    await browser.close();
  }
}

/** What axe-core finds. A page that goes elsewhere or brings itself up to date meanwhile is looked at anew. */
async function violationsOf(page) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await page.waitForLoadState("load");
      await page.evaluate(axeSource);
      const found = await page.evaluate(() =>
        globalThis.axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        }),
      );
      return found.violations;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

/** Throws where axe-core finds a violation of WCAG 2.2 A or AA on the page. */
export async function accessible(page) {
  const violations = await violationsOf(page);
  if (violations.length > 0) {
    const words = violations.map((violation) => {
      const places = violation.nodes.map((node) => `    ${node.target.join(" ")}: ${node.failureSummary}`);
      return `  ${violation.id}: ${violation.help}\n${places.join("\n")}`;
    });
    throw new Error(`${page.url()} is not accessible:\n${words.join("\n")}`);
  }
}

/** Keeps a picture of the whole page. */
export async function picture(page, name) {
  await page.screenshot({ path: join(process.env.LEASEHOLD_SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Throws unless `holds`. */
export function must(holds, words) {
  if (!holds) throw new Error(words);
}
