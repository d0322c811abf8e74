import { expect, test } from "vitest";
import { readResult } from "../../src/lib/backtest";

const BENCHMARK = { nav_end: "10010.5", return_pct: "0.105" };
const RESULT = {
  kind: "botbalance-backtest",
  version: 1,
  quote_asset: "USDT",
  target_allocations: { BTC: "60", USDT: "40" },
  start_ms: 1_735_693_200_000,
  end_ms: 1_735_700_400_000,
  candle_ms: 3_600_000,
  candles: 2,
  nav_start: "10000",
  nav_end: "10020.25",
  return_pct: "0.2025",
  hold: BENCHMARK,
  buy_once: BENCHMARK,
  largest_asset: "BTC",
  largest: BENCHMARK,
  bonus_quote: "9.75",
  bonus_by_asset: { BTC: "9.75" },
  turnover_quote: "100",
  turnover_of_nav: "0.01",
  fees_quote: "0.1",
  fees_of_nav_pct: "0.001",
  fee_pct: "0.1",
  orders: { placed: 1, filled: 1, canceled: {}, resting: 0, fill_rate_pct: "100" },
  inside_band_pct: "50",
  mean_drift_pct: "1",
  drawdown: { pct: "0", peak_at_ms: null, trough_at_ms: null },
  volatility_pct: null,
  return_a_year_pct: null,
  sharpe: null,
  sortino: null,
  rules_source: "assumed",
  verdict: "Rebalancing ended above holding.",
  warnings: [],
  months: [],
  fills: [
    {
      symbol: "BTCUSDT",
      side: "buy",
      price: "60000",
      base_qty: "0.001",
      quote_qty: "60",
      fee: "0.000001",
      fee_asset: "BTC",
      filled_at_ms: 1_735_696_800_000,
      bonus_quote: "9.75",
    },
  ],
  pauses: [],
  series: {
    times_ms: [1_735_696_800_000, 1_735_700_400_000],
    nav: ["10000", "10020.25"],
    hold: ["10000", null],
    buy_once: ["9990", "10010.5"],
    weights_pct: { BTC: ["60", "61"], USDT: ["40", "39"] },
  },
};
const read = (changed: object) => readResult(JSON.stringify({ ...RESULT, ...changed }));

test("what a backtest wrote is read as it is", () => {
  const result = read({});
  expect(result.nav_end).toBe("10020.25");
  expect(result.series.hold).toEqual(["10000", null]);
});

test.each([
  ["no JSON", "PK\u0003\u0004", "no JSON"],
  ["some other JSON", '{"strategy": 1}', "no result of a backtest"],
  ["a list", "[1]", "no result of a backtest"],
  ["of a later version", JSON.stringify({ ...RESULT, version: 2 }), "another version"],
])("a file that is %s is refused, and why", (_, content, why) => {
  expect(() => readResult(content)).toThrow(why);
});

test.each([
  ["a number that is no string", { nav_end: 10_020.25 }, "nav_end"],
  ["a decimal with an exponent", { fees_quote: "0E-8" }, "fees_quote"],
  ["a fill without a price", { fills: [{ ...RESULT.fills[0], price: undefined }] }, "fills"],
  ["a side that is none", { fills: [{ ...RESULT.fills[0], side: "hold" }] }, "fills"],
  ["a missing part", { drawdown: undefined }, "drawdown"],
  ["a series of another length", { series: { ...RESULT.series, nav: ["10000"] } }, "series"],
  ["times that go back", { series: { ...RESULT.series, times_ms: [2_000, 1_000] } }, "series"],
])("%s is damage, and named", (_, changed, named) => {
  expect(() => read(changed)).toThrow(named);
});
