import { type APIRequestContext, expect, type Page, test } from "@playwright/test";
import { PAGES } from "../../src/lib/pages";

const STRATEGY = "/api/me/strategies/rebalance";
const DEMO_KEY = "demo-key-of-the-simulated-exchange";
const DEMO_SECRET = "demo-secret-of-the-simulated-exchange";

test.describe.configure({ mode: "serial" }); // one account, from the autopilot's on to stopped

async function autopilot(request: APIRequestContext, enabled: boolean): Promise<void> {
  const answer = await request.put(`${STRATEGY}/autopilot`, { data: { enabled } });
  expect(answer.ok(), await answer.text()).toBe(true);
}

async function open(page: Page, path: string, name: string): Promise<void> {
  await page.goto(`/#${path}`);
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
}

test("every page is reached by keyboard, and the skip link leads past the navigation", async ({ page }) => {
  await open(page, "/", "Portfolio");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the page" });
  await expect(skip).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("main")).toBeFocused();
  for (const { name } of PAGES) {
    const link = page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true });
    let presses = 0;
    for (; presses < 60; presses += 1) {
      if (await link.evaluate((element) => element === document.activeElement)) break;
      await page.keyboard.press(presses === 0 && name === PAGES[0].name ? "Shift+Tab" : "Tab");
      if (presses === 30) await page.locator(".skip").focus();
    }
    expect(presses, `${name} is not reached`).toBeLessThan(60);
    const ring = await link.evaluate((element) => getComputedStyle(element).outlineStyle);
    expect(ring, "the focus is not to be seen").not.toBe("none");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
    await page.locator(".skip").focus();
  }
});

test("while the autopilot is on, Execute is disabled and says why", async ({ page, request }) => {
  await autopilot(request, true);
  await open(page, "/plan", "Plan");
  const execute = page.getByRole("button", { name: "Execute …" });
  await expect(execute).toBeDisabled();
  await expect(execute).toHaveAccessibleDescription(/autopilot is on/);
  await expect(page.getByRole("switch", { name: "Autopilot on" })).toBeVisible();
  await page.getByRole("button", { name: "Switch the autopilot off" }).click();
  await expect(page.getByRole("switch", { name: "Autopilot off" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Switch the autopilot off" })).toHaveCount(0);
  await autopilot(request, true);
});

test("Stop cancels what rests after one confirmation, and says what became of it", async ({ page, request }) => {
  await expect
    .poll(async () => (await (await request.get("/api/me/overview")).json()).orders.length, { timeout: 30_000 })
    .toBeGreaterThan(0);
  await open(page, "/orders", "Orders");
  await expect(page.getByRole("table", { name: "Orders that rest" }).getByRole("row").nth(1)).toContainText(
    /in \d+ min/,
  );
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Stop everything" });
  await dialog.getByRole("button", { name: "Stop everything" }).click();
  await expect(dialog.getByText("The autopilot is off.")).toBeVisible();
  await expect(dialog.getByRole("row").nth(1)).toContainText(/cancelled|filled/);
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect(page.getByRole("switch", { name: "Autopilot off" })).toBeVisible();
  await expect(page.getByText("No order is resting.")).toBeVisible();
});

test("a plan is executed after a confirmation that repeats it, and shows the orders", async ({ page, request }) => {
  await open(page, "/plan", "Plan");
  const planned = (await (await request.get(`${STRATEGY}/plan`)).json()).actions.length;
  expect(planned).toBeGreaterThan(0);
  await page.getByRole("button", { name: "Execute …" }).click();
  const dialog = page.getByRole("dialog", { name: "Execute" });
  await expect(dialog).toContainText("computed again on fresh prices");
  const sent = page.waitForRequest((one) => one.method() === "POST" && one.url().includes("/execute"));
  await dialog.getByRole("button", { name: /^Place \d+ orders?$/ }).click();
  expect((await sent).headers()["idempotency-key"]).toMatch(/^[0-9a-f-]{36}$/);
  await expect(dialog.getByRole("table", { name: "Orders placed" }).getByRole("row")).toHaveCount(planned + 1);
  const resting = (await (await request.get("/api/me/overview")).json()).orders.length;
  expect(resting).toBe(planned);
});

test("a 409 is told in the API's words, with the request's id", async ({ page, request }) => {
  await request.delete("/api/me/orders");
  await open(page, "/plan", "Plan");
  await page.getByRole("button", { name: "Execute …" }).click();
  await autopilot(request, true); // in another window, meanwhile
  const dialog = page.getByRole("dialog", { name: "Execute" });
  await dialog.getByRole("button", { name: /^Place/ }).click();
  await expect(dialog.getByRole("alert")).toContainText(/autopilot/i);
  await expect(dialog.getByRole("alert")).toContainText(/Request [0-9a-f-]{36}/);
  await autopilot(request, false);
});

test("the editor adds to 100, previews, shows the difference, and both versions on a conflict", async ({
  page,
  request,
}) => {
  await open(page, "/strategy", "Strategy");
  const share = page.getByRole("textbox", { name: "Share of BTC in percent" });
  const before = await share.inputValue();
  await share.fill("1.5");
  await expect(page.getByText(/The shares sum to .* expected 100 %/)).toBeVisible();
  await expect(page.getByRole("button", { name: "Save …" })).toBeDisabled();
  await page.getByRole("button", { name: "Make it 100 %" }).click();
  const preview = page.getByRole("region", { name: "What it would do now" });
  await expect(preview).toContainText("Worth");

  const other = await request.patch(STRATEGY, { data: { order_max_age_s: 777 }, headers: { "If-Match": "*" } });
  expect(other.ok(), await other.text()).toBe(true);
  await page.getByRole("button", { name: "Save …" }).click();
  const dialog = page.getByRole("dialog", { name: "Save the strategy" });
  await expect(dialog.getByRole("row", { name: new RegExp(`^BTC % ${before}`) })).toBeVisible();
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  await expect(dialog).toContainText("was changed meanwhile");
  await expect(dialog.getByRole("row", { name: /^Review after 777 900$/ })).toBeVisible();
  await dialog.getByRole("button", { name: "Save mine over theirs" }).click();
  await expect(dialog).toContainText("Saved.");
  expect((await (await request.get(STRATEGY)).json()).order_max_age_s).toBe(900);
});

test("what is typed stays when the strategy is changed elsewhere, and an untouched editor shows the change", async ({
  page,
  request,
}) => {
  const looksAgain = async () => {
    const read = page.waitForResponse((one) => one.url().endsWith(STRATEGY) && one.request().method() === "GET");
    await page.evaluate(() => window.dispatchEvent(new Event("visibilitychange")));
    await read;
  };
  await open(page, "/strategy", "Strategy");
  const age = page.getByRole("textbox", { name: /^Review after/ });
  await expect(age).toHaveValue("900");
  await request.patch(STRATEGY, { data: { order_max_age_s: 901 }, headers: { "If-Match": "*" } });
  await looksAgain();
  await expect(age).toHaveValue("901");
  await age.fill("905");
  await request.patch(STRATEGY, { data: { order_max_age_s: 900 }, headers: { "If-Match": "*" } });
  await looksAgain();
  await page.getByRole("button", { name: "Save …" }).click();
  const dialog = page.getByRole("dialog", { name: "Save the strategy" });
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  await expect(dialog).toContainText("was changed meanwhile");
  await expect(dialog.getByRole("row", { name: /^Review after 900 905$/ })).toBeVisible();
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect(age).toHaveValue("905");
  await page.getByRole("button", { name: "Undo all" }).click();
  await expect(age).toHaveValue("900");
});

test("limits are edited beside their defaults, and what the API refuses of them is said at the field", async ({
  page,
  request,
}) => {
  await open(page, "/strategy", "Strategy");
  await page.getByText("Limits, over which it is paused").click();
  const fall = page.getByRole("textbox", { name: /^Fall of a price/ });
  await expect(fall).toHaveValue("50");
  await fall.fill("200");
  await expect(fall).toHaveAccessibleDescription(/^Expected .*100/);
  await expect(page.getByRole("button", { name: "Save …" })).toBeDisabled();
  await fall.fill("40");
  await page.getByRole("textbox", { name: /^Losing round trips/ }).fill("3");
  await expect(page.getByRole("region", { name: "What it would do now" })).toContainText("Worth");
  await page.getByRole("button", { name: "Save …" }).click();
  const dialog = page.getByRole("dialog", { name: "Save the strategy" });
  await expect(dialog.getByRole("row", { name: "Limit: Fall of a price 50 40" })).toBeVisible();
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  await expect(dialog).toContainText("Saved.");
  expect((await (await request.get(STRATEGY)).json()).budgets).toMatchObject({ fall_pct: "40", losing_round_trips: 3 });
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Use the recommended limits" }).click();
  await expect(fall).toHaveValue("50");
});

test("a first strategy is on an exchange that can be chosen, and priced in what trades there", async ({ browser }) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto("/");
  await page.evaluate(() => localStorage.setItem("botbalance.user", "newcomer"));
  await page.goto("/#/strategy");
  await page.reload();
  const exchange = page.getByRole("combobox", { name: "Exchange" });
  await expect(exchange).toHaveValue("binance");
  await exchange.selectOption("binance-paper");
  await expect(page.getByText("on binance-paper, priced in USDT")).toBeVisible();
  await expect(page.getByRole("combobox", { name: "Priced in" })).toHaveValue("USDT");
  await context.close();
});

test("a key is written only: stored, shown by four characters, and kept nowhere in the page", async ({ page }) => {
  await open(page, "/exchange", "Exchange");
  await page.getByRole("textbox", { name: "API key" }).fill(DEMO_KEY);
  await page.getByRole("textbox", { name: "Secret" }).fill(DEMO_SECRET);
  await page.getByRole("button", { name: "Store", exact: true }).click();
  await expect(page.getByText(/stored/i).first()).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Secret" })).toHaveValue("");
  const kept = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML]),
  );
  expect(kept).not.toContain(DEMO_SECRET);
  expect(kept).not.toContain(DEMO_KEY);

  await page.getByRole("textbox", { name: "API key" }).fill("no-such-key-anywhere");
  await page.getByRole("textbox", { name: "Secret" }).fill("no-such-secret-anywhere");
  await page.getByRole("button", { name: "Store", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText(/key/i);
});

test("two users in two browsers see their own, and a newcomer is led", async ({ page, browser }) => {
  await open(page, "/", "Portfolio");
  await expect(page.getByRole("heading", { level: 2, name: "Shares against targets" })).toBeVisible();
  const context = await browser.newContext();
  const other = await context.newPage();
  await other.goto("/");
  await other.evaluate(() => localStorage.setItem("botbalance.user", "second-user"));
  await other.reload();
  await expect(other.getByRole("heading", { name: "Three steps to a balanced portfolio" })).toBeVisible();
  await expect(other.getByRole("heading", { name: "Shares against targets" })).toHaveCount(0);
  await other.goto("/#/activity");
  await expect(other.getByText("Nothing has been changed yet.")).toBeVisible();
  await context.close();
});

test("the policy allows no inline script or style, and the page asks nobody else", async ({ page }) => {
  const asked = new Set<string>();
  page.on("request", (request) => asked.add(new URL(request.url()).origin));
  const answer = await page.goto("/#/performance");
  const policy = answer?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  await expect(page.getByRole("heading", { level: 1, name: "Performance" })).toBeVisible();
  await expect(page.locator("main .skeleton")).toHaveCount(0);
  expect([...asked]).toEqual([new URL(page.url()).origin]);
});

test("a dead connection is a banner over what was last known", async ({ page }) => {
  await open(page, "/", "Portfolio");
  await expect(page.getByRole("heading", { level: 2, name: "Shares against targets" })).toBeVisible();
  await page.route("**/api/**", (route) => route.abort());
  await page.evaluate(() => window.dispatchEvent(new Event("visibilitychange")));
  await expect(page.getByText(/The API does not answer.*The figures are of .* ago/)).toBeVisible({ timeout: 40_000 });
  await expect(page.getByRole("heading", { level: 2, name: "Shares against targets" })).toBeVisible();
});
