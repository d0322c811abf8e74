import { describe, expect, test } from "vitest";
import {
  add,
  amount,
  compare,
  distancePct,
  exact,
  isDecimal,
  isNegative,
  normalized,
  percent,
  rounded,
  signedAmount,
  subtract,
} from "../../src/lib/money";

const LONG = "12345678901234567890.123456789";

describe("numbers keep every digit", () => {
  test("where a floating-point number would not", () => {
    expect(exact(LONG)).toBe("12,345,678,901,234,567,890.123456789");
    expect(add("0.1", "0.2")).toBe("0.3");
    expect(add(LONG, "0.000000001")).toBe("12345678901234567890.12345679");
    expect(subtract("1", "0.99999999999999999999")).toBe("0.00000000000000000001");
    expect(subtract(LONG, LONG)).toBe("0");
  });

  test("below zero and without digits before the point", () => {
    expect(add("-0.5", ".25")).toBe("-0.25");
    expect(compare("-1", "-0.5")).toBeLessThan(0);
    expect(compare("1.0", "1")).toBe(0);
    expect(isNegative("-0.0")).toBe(false);
    expect(isNegative("-0.01")).toBe(true);
  });
});

test("only plain decimals are numbers", () => {
  expect(["1", "1.5", "-1", ".5", "0"].every(isDecimal)).toBe(true);
  expect(["", "-", ".", "1e5", "1,5", "1.2.3", "NaN", "0x1", "Infinity"].some(isDecimal)).toBe(false);
});

test("signs are said in words of arithmetic, with a real minus", () => {
  expect(signedAmount("12.345")).toBe("+12.35");
  expect(signedAmount("-0.5")).toBe("−0.50");
  expect(signedAmount("0")).toBe("0.00");
  expect(amount("-1234567.891")).toBe("−1,234,567.89");
  expect(percent("33.333333")).toBe("33.33 %");
  expect(rounded("43123.456789")).toBe("43,123.46");
});

test("a distance is rounded half away from zero", () => {
  expect(distancePct("100.4", "100")).toBe("+0.4 %");
  expect(distancePct("99.6", "100")).toBe("−0.4 %");
  expect(distancePct("100.005", "100")).toBe("+0.01 %");
  expect(distancePct("99.995", "100")).toBe("−0.01 %");
  expect(distancePct("100", "100")).toBe("0 %");
  expect(distancePct("1", "0")).toBe("");
});

test("parts are brought to exactly 100 and keep their proportions", () => {
  expect(normalized(["1", "1", "1"])).toEqual(["33.34", "33.33", "33.33"]);
  expect(normalized(["50", "30", "20"])).toEqual(["50", "30", "20"]);
  expect(normalized(["0", "7", "0"])).toEqual(["0", "100", "0"]);
  expect(normalized(["0", "0"])).toEqual(["0", "0"]);
  for (const parts of [["3", "5", "11", "0.07"], ["0.001", "99"], Array.from({ length: 37 }, () => "1")]) {
    expect(add(...normalized(parts))).toBe("100");
  }
});
