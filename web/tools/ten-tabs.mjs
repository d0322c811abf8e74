// Ten tabs that poll for two minutes beside the autopilot ask the exchange nothing: `npm run tabs`, five minutes.
// Each of two runs of the same seed trades the same 60 ticks through a proxy that counts; only one of them has tabs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { chromium } from "@playwright/test";

const TICKS = 60;
const EVERY_MS = 2_000;
const PAGES = ["/", "/orders", "/decisions", "/activity", "/pauses"]; // those that are left open; none asks for a plan
const TABS = 10;
const BOTBALANCE = new URL("../../.venv/bin/botbalance", import.meta.url).pathname;
const [EXCHANGE_PORT, PROXY_PORT, PORT] = [8861, 8862, 8863];

const counts = new Map();
const proxy = createServer((asked, answered) => {
  const path = asked.url.split("?")[0];
  if (!path.startsWith("/simulator")) counts.set(path, (counts.get(path) ?? 0) + 1);
  const options = {
    port: EXCHANGE_PORT,
    host: "127.0.0.1",
    path: asked.url,
    method: asked.method,
    headers: asked.headers,
  };
  asked.pipe(
    request(options, (reply) => {
      answered.writeHead(reply.statusCode, reply.headers);
      reply.pipe(answered);
    }).on("error", () => answered.destroy()),
  );
}).listen(PROXY_PORT, "127.0.0.1");

async function started(args, url) {
  const child = spawn(BOTBALANCE, args, { stdio: "ignore" });
  for (let tries = 0; tries < 240; tries += 1) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      return child;
    await wait(500);
  }
  throw new Error(`${args[0]} did not start`);
}

async function stopped(child) {
  child.kill("SIGINT");
  await once(child, "exit");
}

/** What 60 ticks ask of the exchange, and how often the tabs asked the API meanwhile. */
async function run(tabs) {
  const exchange = await started(
    ["exchange", "--port", `${EXCHANGE_PORT}`, "--seed", "7"],
    `http://127.0.0.1:${EXCHANGE_PORT}/api/v3/ping`,
  );
  const local = await started(
    ["local", "--port", `${PORT}`, "--exchange", `http://127.0.0.1:${PROXY_PORT}`, "--tick-seconds", "3600"],
    `http://127.0.0.1:${PORT}/api/health`,
  );
  const browser = tabs
    ? await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu"],
      })
    : null;
  let polls = 0;
  for (let tab = 0; tab < tabs; tab += 1) {
    const page = await (await browser.newContext()).newPage();
    page.on("request", (sent) => (polls += sent.url().endsWith("/api/me/overview") ? 1 : 0));
    await page.goto(`http://127.0.0.1:${PORT}/#${PAGES[tab % PAGES.length]}`);
  }
  await wait(3_000);
  counts.clear();
  polls = 0;
  for (let tick = 0; tick < TICKS; tick += 1) {
    const next = wait(EVERY_MS);
    const answer = await fetch(`http://127.0.0.1:${PORT}/local/tick`, { method: "POST" });
    if (!answer.ok) throw new Error(`a tick answered ${answer.status}`);
    await next;
  }
  const found = Object.fromEntries([...counts].sort());
  await browser?.close();
  await stopped(local);
  await stopped(exchange);
  return { found, polls };
}

const alone = await run(0);
const beside = await run(TABS);
proxy.close();
const total = (of) => Object.values(of).reduce((sum, count) => sum + count, 0);
console.log(`${TICKS} ticks without a tab: ${total(alone.found)} exchange requests`, alone.found);
console.log(`${TICKS} ticks beside ${TABS} tabs, ${beside.polls} polls: ${total(beside.found)}`, beside.found);
const same = JSON.stringify(alone.found) === JSON.stringify(beside.found);
console.log(same ? "The same." : "NOT the same.");
process.exit(same && beside.polls > 50 ? 0 : 1);
