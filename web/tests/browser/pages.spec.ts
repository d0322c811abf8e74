import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { PAGES } from "../../src/lib/pages";

const SIZES = [
  { width: 375, height: 667 },
  { width: 1440, height: 900 },
];

for (const colorScheme of ["light", "dark"] as const) {
  for (const viewport of SIZES) {
    test.describe(`${viewport.width} px, ${colorScheme}`, () => {
      test.use({ viewport, colorScheme });
      for (const page of PAGES) {
        test(`${page.name} is complete, accessible and fits`, async ({ page: tab }) => {
          const refused: string[] = [];
          tab.on("console", (message) => {
            const unopened = message.location().url.includes("/api/me/exchange/paper"); // 404 until it is opened
            if (message.type() === "error" && !unopened) refused.push(message.text());
          });
          tab.on("pageerror", (error) => refused.push(error.message));
          await tab.goto(`/#${page.path}`);
          await expect(tab.getByRole("heading", { level: 1, name: page.name })).toBeVisible();
          await expect(tab.locator("main .skeleton")).toHaveCount(0);
          await expect(tab.locator("main .banner.error")).toHaveCount(0);

          const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(wide, "the page scrolls sideways").toBeLessThanOrEqual(0);
          const cut = await tab.evaluate(() =>
            [...document.querySelectorAll<HTMLElement>(".number")]
              .filter((shown) => {
                const style = getComputedStyle(shown);
                return (
                  style.display !== "inline" && style.overflowX !== "visible" && shown.scrollWidth > shown.clientWidth
                );
              })
              .map((shown) => shown.textContent),
          );
          expect(cut, "numbers that are cut").toEqual([]);
          const found = await new AxeBuilder({ page: tab })
            .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"])
            .analyze();
          expect(found.violations.map((violation) => `${violation.id}: ${violation.nodes[0]?.html}`)).toEqual([]);
          expect(refused, "errors in the console, refusals of the policy among them").toEqual([]);
          const name = `${page.name.toLowerCase()}-${viewport.width}-${colorScheme}.png`;
          await tab.screenshot({ path: `test-results/screenshots/${name}`, fullPage: true });
        });
      }
    });
  }
}
