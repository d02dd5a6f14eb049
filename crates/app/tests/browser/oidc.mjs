// Signs in by a real OpenID provider, as people with and without a role; is signed out by the provider's word; and connects
// a user who was here before.

const { accessible, must, picture, withBrowser } = await import(process.env.LEASEHOLD_BROWSER);

const origin = process.env.LEASEHOLD_URL;
const issuer = process.env.LEASEHOLD_ISSUER;
const first = process.env.LEASEHOLD_FIRST;
const password = "gravel teapot orbit";

/** Shows the provider who it is, and agrees to what it asks. */
async function atProvider(page, login) {
  await page.waitForURL(`${issuer}/**`);
  await page.locator('input[name="login"]').fill(login);
  await page.locator('input[name="password"]').fill("any will do");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}

/** Signs in by the provider from the sign-in page. */
async function signIn(page, login, next = "/account") {
  await page.goto(`${origin}/sign-in?next=${encodeURIComponent(next)}`);
  await page.getByRole("link", { name: "Sign in with Example ID" }).click();
  await atProvider(page, login);
  await page.waitForURL(`${origin}/**`);
}

/** What the page says about a fact. */
const fact = (page, name) => page.locator(`dt:text-is("${name}") + dd`).innerText();

await withBrowser(async ({ browser, page, context }) => {
  await page.goto(first);
  await page.getByLabel("Your name").fill("Dana");
  await page.getByLabel("Mail address").fill("dana@example.com");
  await page.getByLabel("Password").fill(password);
  await page.locator("main form button").click();
  await page.waitForURL((url) => !url.pathname.startsWith("/link"));
  await context.clearCookies();

  await page.goto(`${origin}/sign-in`);
  await accessible(page);
  await picture(page, "sign-in-openid");

  // A group gives the role, and the address that the provider has seen is shown.
  await signIn(page, "olga");
  must(page.url() === `${origin}/account`, `after the sign-in it is ${page.url()}`);
  must((await fact(page, "Mail address")) === "olga@example.com", "olga's address");
  must((await fact(page, "Roles")) === "administrator", `olga's roles: ${await fact(page, "Roles")}`);
  must((await page.goto(`${origin}/api/v1/users`)).status() === 200, "an administrator sees the users");
  await page.goto(`${origin}/account`);
  await accessible(page);

  // The provider says that the session ended, and it has ended here before the provider's own page answers.
  await page.goto(`${issuer}/session/end`);
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await page.waitForURL(`${issuer}/session/end/success**`);
  await page.goto(`${origin}/account`);
  must(new URL(page.url()).pathname === "/sign-in", `the session goes on: ${page.url()}`);

  /** Somebody else, in a browser of their own. */
  const another = async (story) => {
    const theirs = await browser.newContext();
    await story(await theirs.newPage());
    await theirs.close();
  };

  // No group with a role: signed in as nobody but herself.
  await another(async (page) => {
    await signIn(page, "ada");
    must((await fact(page, "Roles")) === "none", `ada's roles: ${await fact(page, "Roles")}`);
    must((await page.goto(`${origin}/api/v1/users`)).status() === 403, "ada does not see the users");
  });

  // An address that nobody has seen to be hers makes her nobody.
  await another(async (page) => {
    await signIn(page, "eve");
    const mail = await fact(page, "Mail address");
    must(mail.endsWith("@openid.invalid"), `eve's address: ${mail}`);
    must((await fact(page, "Roles")) === "none", "eve's roles");
  });

  // An address that somebody has here already takes nobody's place, until they connect it themselves.
  await another(async (page) => {
    await signIn(page, "dana");
    must((await page.locator("main").innerText()).includes("connect Example ID in Your account"), "dana is refused");
    await accessible(page);
    await page.goto(`${origin}/account`);
    must(new URL(page.url()).pathname === "/sign-in", "dana is not signed in");
    await page.getByLabel("Mail address").fill("dana@example.com");
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.waitForURL(`${origin}/account`);
    await page.getByRole("button", { name: "Connect with Example ID" }).click();
    await accessible(page);
    await page.getByRole("link", { name: "Continue to Example ID" }).click();
    await page.waitForURL(`${origin}/account`);
    must((await page.locator("main").innerText()).includes("Connected: Example ID"), "dana is connected");
  });
});
