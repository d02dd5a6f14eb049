// The check for accessibility passes a good page and names what is wrong with a bad one.

const { accessible, must, picture, withBrowser } = await import(process.env.LEASEHOLD_BROWSER);

const page_of = (body) =>
  `data:text/html,${encodeURIComponent(`<!doctype html><html lang="en"><title>T</title><main><h1>T</h1>${body}</main>`)}`;

await withBrowser(async ({ page }) => {
  await page.goto(page_of('<label for="a">Name</label><input id="a">'));
  await accessible(page);
  await picture(page, "good-page");
  await page.goto(page_of('<input id="a">'));
  const error = await accessible(page).then(() => null, (error) => error);
  must(error?.message.includes("label"), `the missing label was not named: ${error?.message}`);
});
