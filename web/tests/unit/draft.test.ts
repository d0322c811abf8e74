import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  type Draft,
  differences,
  LIMITS,
  newDraft,
  normalize,
  problemsOf,
  refusedFields,
  requestOf,
  sumOf,
  target,
  withQuote,
} from "../../src/lib/draft";
import { ago, duration } from "../../src/lib/time";

function draft(changes: Partial<Draft> = {}): Draft {
  return { ...newDraft("binance"), ...changes };
}

describe("a draft", () => {
  test("that is new has nothing wrong with it", () => {
    expect([...problemsOf(draft())]).toEqual([]);
  });

  test("has to sum to 100", () => {
    const off = draft({ targets: [target("BTC", "60.1"), target("USDT", "39.8")] });
    expect(problemsOf(off).get("targets")).toBe("The shares sum to 99.9 %, expected 100 %.");
    expect(sumOf(normalize(off.targets))).toBe("100");
  });

  test("names each asset once, and each share is a number", () => {
    expect(problemsOf(draft({ targets: [target("BTC", "50"), target("BTC", "50")] })).get("targets")).toContain(
      "twice",
    );
    expect(problemsOf(draft({ targets: [target("", "100")] })).get("targets")).toContain("needs an asset");
    expect(problemsOf(draft({ targets: [target("BTC", "1e2")] })).get("targets")).toContain("number");
  });

  test("says what is wrong at the parameter", () => {
    const parameters = { ...draft().parameters, order_size_pct: "", order_max_age_s: "1.5", reprice_tolerance_pct: "" };
    expect([...problemsOf(draft({ parameters })).keys()]).toEqual(["order_size_pct", "order_max_age_s"]);
  });

  test("is sent with decimal strings, and what is not set as such", () => {
    const request = requestOf(draft());
    expect(request.target_allocations).toEqual({ BTC: "50", ETH: "30", USDT: "20" });
    expect(request.order_size_pct).toBe("1");
    expect(request.order_max_age_s).toBe(900);
    expect(request.reprice_tolerance_pct).toBeNull();
  });

  test("has the API's own limits, each with its default", () => {
    const document = JSON.parse(readFileSync("../docs/openapi.json", "utf8"));
    const { properties } = document.components.schemas.BudgetsRequest;
    const defaults = Object.entries<{ default: unknown }>(properties).map(([name, field]) => [
      name,
      `${field.default}`,
    ]);
    expect(Object.fromEntries(defaults)).toEqual(draft().limits);
    expect(requestOf(draft()).budgets).toEqual({
      churn_pct: "3",
      fees_pct: "0.2",
      turnover_pct: "15",
      fall_pct: "50",
      losing_round_trips: 2,
      unfilled_orders: 40,
      orders_per_pair: 100,
    });
  });

  test("counts in whole numbers what is counted", () => {
    const limits = { ...draft().limits, losing_round_trips: "2.5", churn_pct: "2.5", fees_pct: "" };
    expect([...problemsOf(draft({ limits }))]).toEqual([
      ["budgets.losing_round_trips", "Losing round trips is a whole number."],
      ["budgets.fees_pct", "Fees is a number."],
    ]);
    expect(LIMITS.filter(({ counted }) => counted)).toHaveLength(3);
  });

  test("shows at the field what the API refuses", () => {
    const wrong = { type: "about:blank", title: "", status: 422, code: "invalid_request", detail: "" } as const;
    const errors = [
      { field: "budgets.fall_pct", expected: "at most 100" },
      { field: "target_allocations.BTC", expected: "a share" },
      { field: "nothing_here", expected: "nothing" },
    ];
    expect([...refusedFields({ ...wrong, errors })]).toEqual([
      ["budgets.fall_pct", "Expected at most 100."],
      ["targets", "Expected a share."],
    ]);
    expect([...refusedFields({ ...wrong, field: "order_size_pct", expected: "at most 100" })]).toEqual([
      ["order_size_pct", "Expected at most 100."],
    ]);
    expect([...refusedFields(null)]).toEqual([]);
  });

  test("is priced in another asset, which is then its cash", () => {
    const inEuro = withQuote(draft(), "EUR");
    expect(inEuro.quote).toBe("EUR");
    expect(inEuro.targets.map(({ asset }) => asset)).toEqual(["BTC", "ETH", "EUR"]);
  });

  test("is compared by value, not by how a number is written", () => {
    const before = draft({ targets: [target("BTC", "50"), target("USDT", "50")] });
    const after = draft({ targets: [target("BTC", "50.0"), target("ETH", "25"), target("USDT", "25")] });
    expect(differences(before, after)).toEqual([
      { field: "USDT %", before: "50", after: "25" },
      { field: "ETH %", before: "not set", after: "25" },
    ]);
  });
});

test("durations have their two largest units", () => {
  expect(duration(0)).toBe("0 s");
  expect(duration(200)).toBe("3 min 20 s");
  expect(duration(86_400 + 59)).toBe("1 d");
  expect(ago(100, 101)).toBe("just now");
  expect(ago(100, 160)).toBe("1 min ago");
});
