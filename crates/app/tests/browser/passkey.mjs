// Registers a passkey on a virtual device, signs in with it alone and after the password, confirms with it, and removes it.

const { accessible, must, picture, withBrowser } = await import(process.env.LEASEHOLD_BROWSER);

const origin = process.env.LEASEHOLD_URL;
const first = process.env.LEASEHOLD_FIRST;
const elsewhere = process.env.LEASEHOLD_ELSEWHERE;
const password = "gravel teapot orbit";

/** What the page shows in its main part. */
const main = (page) => page.locator("main").innerText();

/** Waits until the page says this. */
const says = (page, words) => page.locator("main").getByText(words).first().waitFor();

await withBrowser(async ({ browser, context, page, complaints }) => {
  // A device that has keys of its own, and that asks its user for a finger.
  const device = await context.newCDPSession(page);
  await device.send("WebAuthn.enable");
  const { authenticatorId } = await device.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const keys = async () => (await device.send("WebAuthn.getCredentials", { authenticatorId })).credentials;

  await page.goto(first);
  await page.getByLabel("Your name").fill("Dana");
  await page.getByLabel("Mail address").fill("dana@example.com");
  await page.getByLabel("Password").fill(password);
  await page.locator("main form button").click();
  await page.waitForURL((url) => !url.pathname.startsWith("/link"));

  await page.goto(`${origin}/account`);
  await page.getByLabel("Name of the device").fill("work phone");
  await page.getByRole("button", { name: "Register a passkey" }).click();
  await says(page, "The passkey is registered. It signs you in alone");
  const registered = await keys();
  must(registered.length === 1 && registered[0].isResidentCredential, `the device has ${registered.length} keys`);
  must(registered[0].rpId === "localhost", `the key is for ${registered[0].rpId}`);
  await accessible(page);
  await picture(page, "account-passkey");

  // The same device a second time: the browser knows.
  await page.getByLabel("Name of the device").fill("the same");
  await page.getByRole("button", { name: "Register a passkey" }).click();
  await says(page, "This device has a passkey of yours");
  must((await keys()).length === 1, "the device has one key");

  const signOut = async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(`${origin}/sign-in`);
  };
  await signOut();
  await accessible(page);
  await picture(page, "sign-in-passkey");

  // Alone: no mail address, no password.
  await page.goto(`${origin}/sign-in?next=/account`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.waitForURL(`${origin}/account`);
  must((await main(page)).includes("by passkey"), "signed in by passkey");
  must((await keys())[0].signCount > 1, "the device has signed");
  await signOut();

  // Nobody's finger: the device refuses, and the page says what happened.
  await device.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await says(page, "Nothing was done");
  await accessible(page);
  await device.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });

  // After the password, which is half of it now.
  await page.getByLabel("Mail address").fill("dana@example.com");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(`${origin}/sign-in/code`);
  await accessible(page);
  await picture(page, "sign-in-passkey-second");
  await page.getByRole("button", { name: "Go on with a passkey" }).click();
  await page.waitForURL(`${origin}/`);
  await page.goto(`${origin}/account`);
  must((await main(page)).includes("by password and passkey"), "signed in by password and passkey");

  await page.goto(`${origin}/step-up?next=/account`);
  await accessible(page);
  await picture(page, "step-up-passkey");
  must((await page.getByLabel("Password").count()) === 0, "the password does not confirm alone");
  await page.getByRole("button", { name: "Confirm with a passkey" }).click();
  await page.waitForURL(`${origin}/account`);

  // Where it cannot work, the page says so: another address of the same server, and a browser without scripts.
  const another = await browser.newContext();
  const other = await another.newPage();
  await other.goto(`${elsewhere}/sign-in`);
  await says(other, `Passkeys work at ${origin} only`);
  must(!(await other.getByRole("button", { name: "Sign in with a passkey" }).isVisible()), "no button that does nothing");
  await another.close();
  const still = await browser.newContext({ javaScriptEnabled: false });
  const quiet = await still.newPage();
  await quiet.goto(`${origin}/sign-in`);
  await says(quiet, "A passkey needs JavaScript");
  must(!(await quiet.getByRole("button", { name: "Sign in with a passkey" }).isVisible()), "no button that does nothing");
  await still.close();

  await page.getByRole("button", { name: "Remove the passkey work phone" }).click();
  await says(page, "The passkey no longer signs you in here");
  await signOut();
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await says(page, "this passkey is not known here, or was removed");
  await accessible(page);
  const refused = /status of 422/;
  const unexpected = complaints.filter((complaint) => !refused.test(complaint));
  must(unexpected.length === 0, `the browser complained: ${unexpected.join("\n")}`);
});
