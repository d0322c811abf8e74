import { defineConfig } from "@playwright/test";
import { BROWSER_FLAGS } from "./tools/browser-flags";

const PORT = process.env.BOTBALANCE_TEST_PORT ?? "8793";

// The system's Chromium, against the whole product on this machine: nothing is mocked.
export default defineConfig({
  testDir: "tests/browser",
  outputDir: "test-results",
  workers: 1, // they share one simulated exchange
  retries: process.env.CI ? 1 : 0, // a machine that is short of time is no fault of a page
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    baseURL: `http://127.0.0.1:${PORT}`,
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: BROWSER_FLAGS,
    },
  },
  webServer: {
    command: `../.venv/bin/botbalance local --freeze-prices --seed 7 --tick-seconds 2 --port ${PORT}`,
    url: `http://127.0.0.1:${PORT}/api/health`,
    timeout: 60_000,
    reuseExistingServer: false,
    gracefulShutdown: { signal: "SIGINT", timeout: 10_000 },
  },
});
