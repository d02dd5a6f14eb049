// What a first administrator does: signs in by the link of the first start, connects a real database, writes a policy, sees
// drift, has it planned, approves, watches it verify, asks why somebody holds something, and offboards them.

const { accessible, must, picture, withBrowser } = await import(process.env.LEASEHOLD_BROWSER);

const origin = process.env.LEASEHOLD_URL;
const first = process.env.LEASEHOLD_FIRST;

/** Loads the page again until `holds` says so, four times a second and not for ever. */
async function until(page, holds) {
  for (let tries = 0; !(await holds()); tries += 1) {
    must(tries < 400, `nothing came of it: ${await page.locator("main").innerText()}`);
    await page.waitForTimeout(250);
    await page.reload();
  }
}

/** Approves the plan of this page and waits until every action has ended. */
async function approve(page, name) {
  await picture(page, `walk-${name}-plan`);
  await accessible(page);
  await page.getByRole("button", { name: /^Approve/ }).click();
  await until(page, () =>
    page.evaluate(() => {
      const bar = document.querySelector("progress");
      return bar !== null && bar.value === bar.max;
    }),
  );
  await picture(page, `walk-${name}-done`);
  await accessible(page);
  const states = await page.locator("ul.states").innerText();
  must(/verified/.test(states), `nothing was verified: ${states}`);
  must((await page.getByRole("button", { name: /^Go on/ }).count()) === 0, "nothing is left to go on with");
  must(!/stuck|contradicted|unverifiable/.test(states), `not everything was verified: ${states}`);
}

await withBrowser(async ({ page, complaints }) => {
  await page.goto(first);
  await page.getByLabel("Your name").fill("Robin Gatewood");
  await page.getByLabel("Mail address").fill("robin@example.com");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Go on" }).click();
  must((await page.getByLabel("Your name").inputValue()) === "Robin Gatewood", "what was typed is lost");
  must(await page.getByText("at least 15 characters", { exact: false }).first().isVisible(), "no word by the field");
  await accessible(page);
  complaints.length = 0; // The browser tells of the 422 that was meant.
  await page.getByLabel("Password").fill("lanterns over the quiet harbour");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL(`${origin}/`);
  await picture(page, "walk-home");

  await page.goto(`${origin}/systems`);
  await page.getByRole("link", { name: "Connect a system" }).click();
  await accessible(page);
  await picture(page, "walk-connect-kinds");
  await page.getByRole("link", { name: "postgres", exact: true }).click();
  await page.getByLabel("Name").fill("database");
  await page.getByLabel("Address").fill(process.env.LEASEHOLD_DATABASE);
  await page.getByLabel("Password").fill("not the password");
  await page.getByLabel("TLS").selectOption("disable");
  await page.getByLabel("Further settings").fill('interval = "1h"');
  await page.getByRole("button", { name: "Try and connect" }).click();
  must(/refused the log-in/.test(await page.getByRole("alert").innerText()), "a wrong password is not told");
  must((await page.getByLabel("Address").inputValue()) === process.env.LEASEHOLD_DATABASE, "what was typed is lost");
  must((await page.getByLabel("TLS").inputValue()) === "disable", "what was chosen is lost");
  await accessible(page);
  await picture(page, "walk-connect-refused");
  complaints.length = 0; // The browser tells of the 422 that was meant.
  await page.getByLabel("Password").fill(process.env.LEASEHOLD_DATABASE_PASSWORD);
  await page.getByRole("button", { name: "Try and connect" }).click();
  await page.waitForURL(`${origin}/systems/database`);
  await picture(page, "walk-connected");
  await until(page, async () => !/never read/.test(await page.locator("main").innerText()));

  await page.goto(`${origin}/policy`);
  await page.getByRole("link", { name: "Write one" }).click();
  await page.getByLabel("Path").fill("all.toml");
  await page.getByLabel("Text").fill(process.env.LEASEHOLD_POLICY);
  await page.getByRole("button", { name: "Check" }).click();
  await accessible(page);
  await picture(page, "walk-policy");
  await page.getByRole("button", { name: /^Apply/ }).click();
  await page.waitForURL(`${origin}/policy*`);
  await page.goto(`${origin}/`);

  await until(page, async () => (await page.getByRole("button", { name: "Plan what would close it" }).count()) > 0);
  await page.goto(`${origin}/drift?system=database`);
  const drift = await page.getByRole("region", { name: "Drift" }).innerText();
  must(/lee/.test(drift) && /mia/.test(drift), `who should be there is not: ${drift}`);
  must(!/dana/.test(drift), `dana's access is justified: ${drift}`);
  await page.getByRole("button", { name: /^Plan all/ }).click();
  await page.waitForURL(`${origin}/plans/*`);
  await approve(page, "drift");

  await page.goto(`${origin}/identities/dana@example.com`);
  await accessible(page);
  await picture(page, "walk-identity");
  const reaches = await page.locator("main").innerText();
  must(/role\/payments_rw/.test(reaches) && /payments-engineer/.test(reaches), `no reason is told: ${reaches}`);
  await page.getByRole("button", { name: "Offboard" }).click();
  await page.waitForURL(`${origin}/plans/*`);
  await approve(page, "offboard");

  // The source lists them still: what was decided counts, and nothing is given back.
  await page.goto(`${origin}/identities/dana@example.com`);
  await until(page, async () => (await page.getByText("decided", { exact: false }).count()) > 0);
  await page.goto(`${origin}/drift?identity=dana@example.com`);
  await until(page, async () => (await page.getByText("No drift like this").count()) > 0);
  await page.goto(`${origin}/identities/dana@example.com`);
  await picture(page, "walk-offboarded");
  await accessible(page);
  must(complaints.length === 0, `the browser complained:\n${complaints.join("\n")}`);
});
