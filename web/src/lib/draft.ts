/** A strategy while it is edited: text in every field, checked before it is asked about. */
import type { Schemas } from "../api/client";
import { add, compare, isDecimal, normalized } from "./money";
import { wholeSeconds } from "./time";

export type Target = { id: number; asset: string; pct: string };
export type Draft = {
  exchange: Schemas["StrategyRequest"]["exchange"];
  quote: string;
  targets: Target[];
  parameters: Record<ParameterName, string>;
  postOnly: boolean;
  /** As stored; without them the defaults are taken. */
  budgets?: Schemas["StrategyRequest"]["budgets"];
};

export const PARAMETERS = [
  {
    name: "order_size_pct",
    label: "Order size",
    unit: "% of the portfolio",
    help: "What one order is worth, always the same. At most the band, or orders are traded back and forth.",
    required: true,
  },
  {
    name: "min_delta_pct",
    label: "Band",
    unit: "% of the portfolio",
    help: "An asset nearer to its target than this is left alone. It grows with the portfolio.",
    required: false,
  },
  {
    name: "min_delta_quote",
    label: "Smallest difference",
    unit: "in the quote asset",
    help: "And nothing is done about less than this amount. The larger of the two counts.",
    required: true,
  },
  {
    name: "order_step_pct",
    label: "Step",
    unit: "% of the price",
    help: "How far below the market a buy rests, and how far above it a sell.",
    required: true,
  },
  {
    name: "quote_reserve_pct",
    label: "Cash reserve",
    unit: "% of the portfolio",
    help: "Cash that buys leave untouched. A target for cash is no reserve: on the way to it, buys may spend it.",
    required: false,
  },
  {
    name: "order_max_age_s",
    label: "Review after",
    unit: "seconds",
    help: "When a resting order is looked at again.",
    required: true,
  },
  {
    name: "reprice_tolerance_pct",
    label: "Tolerance",
    unit: "% of the price",
    help: "How far from today's price an old order may be and still stay. Two steps where it is not set.",
    required: false,
  },
] as const satisfies readonly {
  name: keyof Schemas["StrategyRequest"];
  label: string;
  unit: string;
  help: string;
  required: boolean;
}[];

export type ParameterName = (typeof PARAMETERS)[number]["name"];

let nextId = 0;

export function target(asset = "", pct = ""): Target {
  nextId += 1;
  return { id: nextId, asset, pct };
}

/** What somebody without a strategy begins with: sound sizes, and targets to fill in. */
export function newDraft(exchange: Draft["exchange"]): Draft {
  return {
    exchange,
    quote: "USDT",
    targets: [target("BTC", "50"), target("ETH", "30"), target("USDT", "20")],
    parameters: {
      order_size_pct: "1",
      min_delta_pct: "2",
      min_delta_quote: "50",
      order_step_pct: "0.4",
      quote_reserve_pct: "",
      order_max_age_s: "900",
      reprice_tolerance_pct: "",
    },
    postOnly: true,
  };
}

export function draftOf(strategy: Schemas["StrategyView"]): Draft {
  const parameters = Object.fromEntries(
    PARAMETERS.map(({ name }) => {
      const value = strategy[name];
      return [name, value === null || value === undefined ? "" : String(value)];
    }),
  ) as Record<ParameterName, string>;
  return {
    exchange: strategy.exchange as Draft["exchange"],
    quote: strategy.quote_asset,
    targets: Object.entries(strategy.target_allocations).map(([asset, pct]) => target(asset, pct)),
    parameters,
    postOnly: strategy.post_only,
    budgets: strategy.budgets,
  };
}

/** The sum of the targets; null while one is no number. */
export function sumOf(targets: readonly Target[]): string | null {
  return targets.every((one) => isDecimal(one.pct)) ? add("0", ...targets.map((one) => one.pct)) : null;
}

export function normalize(targets: readonly Target[]): Target[] {
  const parts = normalized(targets.map((one) => (isDecimal(one.pct) ? one.pct : "0")));
  return targets.map((one, index) => ({ ...one, pct: parts[index] ?? one.pct }));
}

/** What is wrong with the draft before anybody is asked: by field, in words. */
export function problemsOf(draft: Draft): Map<string, string> {
  const problems = new Map<string, string>();
  const sum = sumOf(draft.targets);
  if (sum === null) problems.set("targets", "Each share is a number from 0 to 100.");
  else if (compare(sum, "100") !== 0) problems.set("targets", `The shares sum to ${sum} %, expected 100 %.`);
  const names = draft.targets.map((one) => one.asset);
  if (names.some((name) => !name)) problems.set("targets", "Each row needs an asset.");
  if (new Set(names).size < names.length) problems.set("targets", "An asset is named twice.");
  for (const { name, label, required } of PARAMETERS) {
    const value = draft.parameters[name];
    if (value === "" ? required : !isDecimal(value)) problems.set(name, `${label} is a number.`);
    else if (name === "order_max_age_s" && !/^\d{1,7}$/.test(value)) problems.set(name, `${label} is whole seconds.`);
  }
  return problems;
}

/** The request that stores or previews the draft. */
export function requestOf(draft: Draft): Schemas["StrategyRequest"] {
  const { parameters } = draft;
  const optional = (value: string) => (value === "" ? null : value);
  return {
    exchange: draft.exchange,
    quote_asset: draft.quote,
    target_allocations: Object.fromEntries(draft.targets.map((one) => [one.asset, one.pct])),
    order_size_pct: parameters.order_size_pct,
    order_step_pct: parameters.order_step_pct,
    min_delta_quote: parameters.min_delta_quote,
    min_delta_pct: optional(parameters.min_delta_pct),
    quote_reserve_pct: parameters.quote_reserve_pct || "0",
    order_max_age_s: wholeSeconds(parameters.order_max_age_s),
    reprice_tolerance_pct: optional(parameters.reprice_tolerance_pct),
    post_only: draft.postOnly,
    ...(draft.budgets && { budgets: draft.budgets }),
  };
}

/** What saving would change, in words: field, before, after. */
export function differences(before: Draft, after: Draft): { field: string; before: string; after: string }[] {
  const found: { field: string; before: string; after: string }[] = [];
  const note = (field: string, old: string, now: string) => {
    if (old !== now) found.push({ field, before: old || "not set", after: now || "not set" });
  };
  note("Exchange", before.exchange, after.exchange);
  note("Quote asset", before.quote, after.quote);
  const shares = (draft: Draft) => new Map(draft.targets.map((one) => [one.asset, one.pct]));
  const [old, now] = [shares(before), shares(after)];
  for (const asset of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(asset) ?? "", now.get(asset) ?? ""];
    if (!(isDecimal(a) && isDecimal(b) && compare(a, b) === 0)) note(`${asset} %`, a, b);
  }
  for (const { name, label } of PARAMETERS) note(label, before.parameters[name], after.parameters[name]);
  note("Post-only", String(before.postOnly), String(after.postOnly));
  return found;
}
