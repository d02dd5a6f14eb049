// Visits every page that can be reached by links from the first one, in both themes and on a narrow screen: each answers,
// is accessible, complains of nothing, and does not run off the side of the screen. One page of each kind has its picture taken.

const { accessible, must, picture, withBrowser } = await import(process.env.LEASEHOLD_BROWSER);

const origin = process.env.LEASEHOLD_URL;
const first = process.env.LEASEHOLD_FIRST;
const EACH_KIND_MAX = 2;

/** The page's kind: its path with names and numbers left out. */
function kindOf(address) {
  const { pathname, searchParams } = new URL(address);
  const parts = pathname.split("/").filter(Boolean);
  // The places within Settings are pages of their own, not things of one kind.
  if (parts[0] === "settings" && parts.length > 1) parts.splice(0, 2, parts.slice(0, 2).join("-"));
  const kind = parts.length > 1 ? `${parts[0]}/*${parts.length > 2 ? "/*" : ""}` : (parts[0] ?? "home");
  return `${kind}${searchParams.size > 0 ? "?" : ""}`;
}

const nameOf = (kind) => kind.replaceAll("/*", "-one").replaceAll("?", "-filtered").replaceAll("/", "-");

await withBrowser(async ({ page, complaints }) => {
  // Everything that is wrong is told at once, each complaint once.
  const wrong = new Set();
  const check = async (holds) => {
    try {
      await holds();
    } catch (error) {
      wrong.add(error.message);
    }
  };
  await page.goto(first);
  await accessible(page);
  await picture(page, "link");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(`${origin}/`);
  const waiting = [`${origin}/`];
  const seen = new Set(waiting);
  const visited = new Map();
  while (waiting.length > 0) {
    const address = waiting.shift();
    const kind = kindOf(address);
    const before = visited.get(kind) ?? 0;
    if (before >= EACH_KIND_MAX) continue;
    visited.set(kind, before + 1);
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width: 1280, height: 900 });
      const answer = await page.goto(address);
      await check(() => must(answer.status() < 400, `${address} answered ${answer.status()}`));
      await check(() => accessible(page));
      if (before === 0) await picture(page, `${nameOf(kind)}-${theme}`);
    }
    await page.setViewportSize({ width: 390, height: 844 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await check(() => must(overflow <= 0, `${address} is ${overflow} pixels too wide for a narrow screen`));
    await check(() => accessible(page));
    if (before === 0) await picture(page, `${nameOf(kind)}-narrow`);
    const links = await page.locator("a[href]").evaluateAll((all) =>
      all.filter((link) => !link.hasAttribute("download")).map((link) => link.href),
    );
    for (const link of links) {
      const address = link.split("#")[0];
      if (address.startsWith(`${origin}/`) && !address.includes("/static/") && !seen.has(address)) {
        seen.add(address);
        waiting.push(address);
      }
    }
  }
  for (const complaint of complaints) wrong.add(`the browser complained: ${complaint}`);
  must(wrong.size === 0, [...wrong].join("\n\n"));
  console.log(JSON.stringify(Object.fromEntries(visited)));
});
