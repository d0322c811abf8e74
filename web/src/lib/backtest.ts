/** A backtest's result, as `botbalance backtest --result FILE` writes it: amounts are decimal strings, times milliseconds. */

import { isWhole } from "./time";

type Benchmark = { nav_end: string; return_pct: string };

export type BacktestMonth = {
  month: string;
  nav_end: string;
  return_pct: string;
  hold_return_pct: string;
  buy_once_return_pct: string;
  bonus_quote: string;
  fills: number;
  turnover_quote: string;
  fees_quote: string;
};

export type BacktestFill = {
  symbol: string;
  side: "buy" | "sell";
  price: string;
  base_qty: string;
  quote_qty: string;
  fee: string;
  fee_asset: string;
  filled_at_ms: number;
  bonus_quote: string;
};

export type BacktestPause = { from_ms: number; until_ms: number | null; evidence: string };

/** For pictures; null is a gap. */
export type Series = {
  times_ms: number[];
  nav: (string | null)[];
  hold: (string | null)[];
  buy_once: (string | null)[];
  weights_pct: Record<string, (string | null)[]>;
};

export type BacktestResult = {
  quote_asset: string;
  target_allocations: Record<string, string>;
  start_ms: number;
  end_ms: number;
  candle_ms: number;
  candles: number;
  nav_start: string;
  nav_end: string;
  return_pct: string;
  hold: Benchmark;
  buy_once: Benchmark;
  largest_asset: string;
  largest: Benchmark;
  bonus_quote: string;
  bonus_by_asset: Record<string, string>;
  turnover_quote: string;
  turnover_of_nav: string;
  fees_quote: string;
  fees_of_nav_pct: string;
  fee_pct: string;
  orders: { placed: number; filled: number; resting: number; fill_rate_pct: string | null };
  inside_band_pct: string;
  mean_drift_pct: string;
  drawdown: { pct: string; peak_at_ms: number | null; trough_at_ms: number | null };
  volatility_pct: string | null;
  return_a_year_pct: string | null;
  sharpe: string | null;
  sortino: string | null;
  rules_source: string;
  verdict: string;
  warnings: string[];
  months: BacktestMonth[];
  fills: BacktestFill[];
  pauses: BacktestPause[];
  series: Series;
};

type Check = (value: unknown) => boolean;

const DECIMAL = /^-?\d+(\.\d+)?$/;
const text: Check = (value) => typeof value === "string";
const decimal: Check = (value) => typeof value === "string" && DECIMAL.test(value);
const whole: Check = isWhole;
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const mapOf =
  (check: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value).every(check);
const shape =
  (fields: Record<string, Check>): Check =>
  (value) =>
    isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));

const line = listOf(orNull(decimal));
const benchmark = shape({ nav_end: decimal, return_pct: decimal });
const FIELDS: Record<keyof BacktestResult, Check> = {
  quote_asset: text,
  target_allocations: mapOf(decimal),
  start_ms: whole,
  end_ms: whole,
  candle_ms: whole,
  candles: whole,
  nav_start: decimal,
  nav_end: decimal,
  return_pct: decimal,
  hold: benchmark,
  buy_once: benchmark,
  largest_asset: text,
  largest: benchmark,
  bonus_quote: decimal,
  bonus_by_asset: mapOf(decimal),
  turnover_quote: decimal,
  turnover_of_nav: decimal,
  fees_quote: decimal,
  fees_of_nav_pct: decimal,
  fee_pct: decimal,
  orders: shape({ placed: whole, filled: whole, resting: whole, fill_rate_pct: orNull(decimal) }),
  inside_band_pct: decimal,
  mean_drift_pct: decimal,
  drawdown: shape({ pct: decimal, peak_at_ms: orNull(whole), trough_at_ms: orNull(whole) }),
  volatility_pct: orNull(decimal),
  return_a_year_pct: orNull(decimal),
  sharpe: orNull(decimal),
  sortino: orNull(decimal),
  rules_source: text,
  verdict: text,
  warnings: listOf(text),
  months: listOf(
    shape({
      month: text,
      nav_end: decimal,
      return_pct: decimal,
      hold_return_pct: decimal,
      buy_once_return_pct: decimal,
      bonus_quote: decimal,
      fills: whole,
      turnover_quote: decimal,
      fees_quote: decimal,
    }),
  ),
  fills: listOf(
    shape({
      symbol: text,
      side: (value) => value === "buy" || value === "sell",
      price: decimal,
      base_qty: decimal,
      quote_qty: decimal,
      fee: decimal,
      fee_asset: text,
      filled_at_ms: whole,
      bonus_quote: decimal,
    }),
  ),
  pauses: listOf(shape({ from_ms: whole, until_ms: orNull(whole), evidence: text })),
  series: shape({ times_ms: listOf(whole), nav: line, hold: line, buy_once: line, weights_pct: mapOf(line) }),
};

/** The result that a file holds; an Error says what is wrong with one that holds none. */
export function readResult(content: string): BacktestResult {
  let found: unknown;
  try {
    found = JSON.parse(content);
  } catch {
    throw new Error("This is no JSON file.");
  }
  if (!isObject(found) || found["kind"] !== "botbalance-backtest") {
    throw new Error("This is no result of a backtest: expected a file that botbalance backtest --result has written.");
  }
  if (found["version"] !== 1) {
    throw new Error("This result is of another version of BotBalance: run the backtest again.");
  }
  for (const [name, check] of Object.entries(FIELDS)) {
    if (!check(found[name])) throw new Error(`The result is damaged: ${name} is not what a backtest writes.`);
  }
  const result = found as unknown as BacktestResult;
  const { times_ms, nav, hold, buy_once, weights_pct } = result.series;
  const ascending = times_ms.every((at, index) => index === 0 || at > (times_ms[index - 1] ?? at));
  const lines = [nav, hold, buy_once, ...Object.values(weights_pct)];
  if (!ascending || lines.some((one) => one.length !== times_ms.length)) {
    throw new Error("The result is damaged: its series do not belong together.");
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
