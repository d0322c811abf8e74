/** A strategy while it is edited: text in every field, checked before it is asked about. */
import type { Schemas } from "../api/client";
import { add, compare, isDecimal, normalized } from "./money";
import { wholeNumber } from "./time";

export type Target = { id: number; asset: string; pct: string };
export type Draft = {
  exchange: Schemas["StrategyRequest"]["exchange"];
  quote: string;
  targets: Target[];
  parameters: Record<ParameterName, string>;
  postOnly: boolean;
  limits: Record<LimitName, string>;
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

/** What trading may come to before it is paused (`budgets`), in the order of the guide. */
export const LIMITS = [
  {
    name: "churn_pct",
    label: "Churn of a pair",
    unit: "% of the portfolio a day",
    standard: "3",
    counted: false,
    help: "Twice the smaller of what was bought and sold, mean of 7 days, of a pair that lost by it. Over it the pair is paused.",
  },
  {
    name: "losing_round_trips",
    label: "Losing round trips",
    unit: "of a pair in 24 hours",
    standard: "2",
    counted: true,
    help: "Bought and sold again at a loss, or the other way round. Over it the pair is paused.",
  },
  {
    name: "fees_pct",
    label: "Fees",
    unit: "% of the portfolio in 30 days",
    standard: "0.2",
    counted: false,
    help: "Of pairs that lost, at a fee of 0.1 %; at a higher fee in proportion. Over it the account is paused.",
  },
  {
    name: "unfilled_orders",
    label: "Unfilled orders",
    unit: "of a pair in a clock hour",
    standard: "40",
    counted: true,
    help: "Placed in an hour in which none fills. Over it the pair is paused for an hour.",
  },
  {
    name: "orders_per_pair",
    label: "Orders",
    unit: "a pair in 24 hours",
    standard: "100",
    counted: true,
    help: "Placed, on average of the pairs. Over it the account is paused.",
  },
  {
    name: "fall_pct",
    label: "Fall of a price",
    unit: "% below the high of 7 days",
    standard: "50",
    counted: false,
    help: "A coin that has fallen further is bought no more; what is held may be sold. 100 is no limit.",
  },
  {
    name: "turnover_pct",
    label: "Turnover",
    unit: "% of the portfolio in 24 hours",
    standard: "15",
    counted: false,
    help: "Everything traded. Over it is a warning, never a pause.",
  },
] as const satisfies readonly {
  name: keyof Schemas["BudgetsRequest"];
  label: string;
  unit: string;
  standard: string;
  counted: boolean;
  help: string;
}[];

export type LimitName = (typeof LIMITS)[number]["name"];

/** What is taken where nobody says otherwise: the API's own defaults, which a test compares. */
export const STANDARD_LIMITS = Object.fromEntries(LIMITS.map(({ name, standard }) => [name, standard])) as Record<
  LimitName,
  string
>;

let nextId = 0;

export function target(asset = "", pct = ""): Target {
  nextId += 1;
  return { id: nextId, asset, pct };
}

/** What somebody without a strategy begins with: sound sizes, and targets to fill in. */
export function newDraft(exchange: Draft["exchange"], quote = "USDT"): Draft {
  return {
    exchange,
    quote,
    targets: [target("BTC", "50"), target("ETH", "30"), target(quote, "20")],
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
    limits: { ...STANDARD_LIMITS },
  };
}

/** The draft priced in another asset, which takes the place of the former one among the targets. */
export function withQuote(draft: Draft, quote: string): Draft {
  const targets = draft.targets.map((one) => (one.asset === draft.quote ? { ...one, asset: quote } : one));
  return { ...draft, quote, targets };
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
    limits: Object.fromEntries(LIMITS.map(({ name }) => [name, String(strategy.budgets[name])])) as Draft["limits"],
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
  for (const { name, label, counted } of LIMITS) {
    const value = draft.limits[name];
    if (counted ? !/^\d{1,6}$/.test(value) : !isDecimal(value)) {
      problems.set(`budgets.${name}`, `${label} is a ${counted ? "whole number" : "number"}.`);
    }
  }
  return problems;
}

/** What the API refuses of the draft, by field as `problemsOf` names it. */
export function refusedFields(problem: Schemas["ProblemView"] | null): Map<string, string> {
  const errors = problem?.errors ?? [];
  const named =
    errors.length > 0 ? errors : problem?.field ? [{ field: problem.field, expected: problem.expected }] : [];
  const places = new Set<string>([
    ...PARAMETERS.map(({ name }) => name),
    ...LIMITS.map(({ name }) => `budgets.${name}`),
  ]);
  return new Map(
    named
      .map(({ field, expected }) => [field.startsWith("target_allocations") ? "targets" : field, expected] as const)
      .filter(([field, expected]) => expected && (places.has(field) || field === "targets"))
      .map(([field, expected]) => [field, `Expected ${expected}.`]),
  );
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
    order_max_age_s: wholeNumber(parameters.order_max_age_s),
    reprice_tolerance_pct: optional(parameters.reprice_tolerance_pct),
    post_only: draft.postOnly,
    budgets: {
      churn_pct: draft.limits.churn_pct,
      fees_pct: draft.limits.fees_pct,
      turnover_pct: draft.limits.turnover_pct,
      fall_pct: draft.limits.fall_pct,
      losing_round_trips: wholeNumber(draft.limits.losing_round_trips),
      unfilled_orders: wholeNumber(draft.limits.unfilled_orders),
      orders_per_pair: wholeNumber(draft.limits.orders_per_pair),
    },
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
  for (const { name, label } of LIMITS) note(`Limit: ${label}`, before.limits[name], after.limits[name]);
  return found;
}
