// What Lighthouse says of every page, as `botbalance local` serves it: `make lighthouse`, some six minutes. Fails where
// performance or accessibility is below the floor. Lighthouse's own settings, throttling simulated: "mobile" is a slow
// phone on slow 4G (a quarter of the processor's speed, 150 ms, 1.6 Mbit/s), "desktop" a computer on 40 ms, 10 Mbit/s.
// A page below the floor is looked at twice more, and the median counts: the machine may have been busy.
// Arguments: mobile, desktop, paths of pages; otherwise all of them.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { PAGES } from "../../src/lib/pages.ts";
import { BROWSER_FLAGS } from "../browser-flags.ts";

const FLOOR = 95;
const PORT = 8796;
const HOME = `http://127.0.0.1:${PORT}`;
const BOTBALANCE = new URL("../../../.venv/bin/botbalance", import.meta.url).pathname;
const LIGHTHOUSE = new URL("node_modules/.bin/lighthouse", import.meta.url).pathname;
const FORMS = ["mobile", "desktop"];
const FLAGS = ["--headless=new", ...BROWSER_FLAGS];

async function started() {
  const args = ["local", "--freeze-prices", "--seed", "7", "--tick-seconds", "10", "--port", `${PORT}`];
  const local = spawn(BOTBALANCE, args, { stdio: "ignore" });
  for (let tries = 0; tries < 240; tries += 1) {
    const answer = await fetch(`${HOME}/api/health`).catch(() => null);
    if (answer?.ok) return local;
    await wait(500);
  }
  throw new Error("botbalance local did not start");
}

function look(path, form) {
  const args = [`${HOME}/#${path}`, "--output=json", "--quiet", "--only-categories=performance,accessibility"];
  if (form === "desktop") args.push("--preset=desktop");
  args.push(`--chrome-flags=${FLAGS.join(" ")}`);
  const env = { CHROME_PATH: process.env.CHROMIUM ?? "/usr/bin/chromium", ...process.env };
  const output = execFileSync(LIGHTHOUSE, args, { env, maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
  const { audits, categories } = JSON.parse(output);
  return {
    performance: Math.round(categories.performance.score * 100),
    accessibility: Math.round(categories.accessibility.score * 100),
    "first paint, ms": Math.round(audits["first-contentful-paint"].numericValue),
    "largest paint, ms": Math.round(audits["largest-contentful-paint"].numericValue),
    "blocked, ms": Math.round(audits["total-blocking-time"].numericValue),
    "layout shift": Math.round(audits["cumulative-layout-shift"].numericValue * 1000) / 1000,
  };
}

const isLow = (found) => Math.min(found.performance, found.accessibility) < FLOOR;

function judge(path, form) {
  const first = look(path, form);
  if (!isLow(first)) return first;
  return [first, look(path, form), look(path, form)].sort((one, other) => one.performance - other.performance)[1];
}

const asked = process.argv.slice(2);
const forms = FORMS.filter((form) => asked.includes(form));
const pages = PAGES.filter(({ path }) => asked.includes(path));
const local = await started();
let low = 0;
try {
  for (const form of forms.length ? forms : FORMS) {
    const rows = {};
    for (const { name, path } of pages.length ? pages : PAGES) {
      rows[name] = judge(path, form);
      if (isLow(rows[name])) low += 1;
    }
    console.log(form);
    console.table(rows);
  }
} finally {
  local.kill("SIGINT");
  await once(local, "exit");
}
console.log(low ? `${low} below ${FLOOR}.` : `None below ${FLOOR}.`);
process.exit(low ? 1 : 0);
