import { describe, expect, test } from "vitest";
import {
  type Draft,
  differences,
  newDraft,
  normalize,
  problemsOf,
  requestOf,
  sumOf,
  target,
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
