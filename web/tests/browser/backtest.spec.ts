import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";

// A real result: 90 days of made-up hourly candles, and the backtest's own command.
const BOTBALANCE = "../.venv/bin/botbalance";
const STRATEGY = {
  target_allocations: { BTC: "40", ETH: "30", SOL: "20", USDT: "10" },
  order_size_pct: "1",
  order_step_pct: "0.4",
  min_delta_quote: "50",
  min_delta_pct: "2",
};

function backtest(folder: string): string {
  const [candles, strategy, result] = ["candles", "strategy.json", "result.json"].map((name) => `${folder}/${name}`);
  writeFileSync(`${strategy}`, JSON.stringify(STRATEGY));
  execFileSync(BOTBALANCE, ["candles", "sample", `${candles}`]);
  execFileSync(BOTBALANCE, [
    "backtest",
    "--candles",
    `${candles}`,
    "--strategy",
    `${strategy}`,
    "--result",
    `${result}`,
  ]);
  return `${result}`;
}

async function open(page: Page): Promise<void> {
  await page.goto("/#/backtest");
  await expect(page.getByRole("heading", { level: 1, name: "Backtest" })).toBeVisible();
}

test("a result is opened in the browser, drawn as Performance is, and sent nowhere", async ({ page }, info) => {
  const file = backtest(info.outputPath("."));
  const { verdict, fills, months } = JSON.parse(readFileSync(file, "utf8"));
  await open(page);
  await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.method() !== "GET" || request.postData()) sent.push(`${request.method()} ${request.url()}`);
  });
  await page.getByLabel("Result of a backtest").setInputFiles(file);
  await expect(page.getByText(verdict)).toBeVisible();
  for (const chart of ["The portfolio, in USDT", "What rebalancing has added, in USDT", "Share of BTC, in percent"]) {
    await expect(page.getByRole("img", { name: chart }).locator("canvas").first()).toBeVisible();
  }
  await page.getByRole("combobox", { name: "Asset" }).selectOption("ETH");
  await expect(page.getByRole("img", { name: "Share of ETH, in percent" })).toBeVisible();
  const rows = (name: RegExp) => page.getByRole("table", { name }).getByRole("row");
  await expect(rows(/^The last/)).toHaveCount(Math.min(fills.length, 100) + 1);
  await expect(rows(/^Calendar months/)).toHaveCount(months.length + 1);
  expect(sent).toEqual([]);

  // It is still there after a look at another page, and no file of this browser holds it.
  await page.getByRole("link", { name: "Orders" }).click();
  await page.getByRole("link", { name: "Backtest" }).click();
  await expect(page.getByText(verdict)).toBeVisible();
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain("nav");

  for (const [width, colorScheme] of [
    [375, "light"],
    [1440, "dark"],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    if ((await page.evaluate(() => document.documentElement.dataset["theme"])) !== colorScheme) {
      await page.getByRole("button", { name: `Use the ${colorScheme} scheme` }).click();
    }
    await expect(page.getByRole("img", { name: "The portfolio, in USDT" }).locator("canvas").first()).toBeVisible();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide, "the page scrolls sideways").toBeLessThanOrEqual(0);
    const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
    expect(found.violations.map((violation) => `${violation.id}: ${violation.nodes[0]?.html}`)).toEqual([]);
    await page.screenshot({ path: `test-results/screenshots/backtest-opened-${width}.png`, fullPage: true });
  }
});

test("a file that holds no result is refused in words, and what was shown stays away", async ({ page }, info) => {
  const wrong = info.outputPath("wrong.json");
  writeFileSync(wrong, JSON.stringify(STRATEGY));
  await open(page);
  await page.getByLabel("Result of a backtest").setInputFiles(wrong);
  await expect(page.getByRole("alert")).toContainText("no result of a backtest");
  await expect(page.getByRole("heading", { name: "Over time" })).toHaveCount(0);
});
