/** Decimal strings, exact: shown, added and compared without a floating-point number. */

const LOCALE = "en";

type Decimal = { readonly digits: bigint; readonly places: number };

function parse(text: string): Decimal {
  const match = /^(-?)(\d*)(?:\.(\d*))?$/.exec(text.trim());
  if (!match || (match[2] === "" && (match[3] ?? "") === "")) {
    throw new RangeError(`${JSON.stringify(text)} is no decimal number`);
  }
  const fraction = match[3] ?? "";
  const digits = BigInt(`${match[2]}${fraction}` || "0");
  return { digits: match[1] === "-" ? -digits : digits, places: fraction.length };
}

function aligned(one: Decimal, other: Decimal): [bigint, bigint, number] {
  const places = Math.max(one.places, other.places);
  return [one.digits * 10n ** BigInt(places - one.places), other.digits * 10n ** BigInt(places - other.places), places];
}

function text(digits: bigint, places: number): string {
  const sign = digits < 0n ? "-" : "";
  const all = (digits < 0n ? -digits : digits).toString().padStart(places + 1, "0");
  const whole = all.slice(0, all.length - places);
  const fraction = places ? all.slice(-places).replace(/0+$/, "") : "";
  return `${sign}${whole}${fraction ? `.${fraction}` : ""}`;
}

/** Whether `decimal` is a plain decimal number: digits, at most one point, perhaps a minus. */
export function isDecimal(decimal: string): boolean {
  try {
    parse(decimal);
    return true;
  } catch {
    return false;
  }
}

/** The exact sum. */
export function add(...decimals: readonly string[]): string {
  let sum: Decimal = { digits: 0n, places: 0 };
  for (const decimal of decimals) {
    const [one, other, places] = aligned(sum, parse(decimal));
    sum = { digits: one + other, places };
  }
  return text(sum.digits, sum.places);
}

/** `one` − `other`, exact. */
export function subtract(one: string, other: string): string {
  const [first, second, places] = aligned(parse(one), parse(other));
  return text(first - second, places);
}

/** Below 0, 0, or above 0 as `one` is less than, equal to or more than `other`. */
export function compare(one: string, other: string): number {
  const [first, second] = aligned(parse(one), parse(other));
  return first < second ? -1 : first > second ? 1 : 0;
}

/** Whether the number is below zero. */
export function isNegative(decimal: string): boolean {
  return compare(decimal, "0") < 0;
}

/** The percentage by which `price` is away from `from`, to two decimals, with its sign. */
export function distancePct(price: string, from: string): string {
  const [a, b] = aligned(parse(price), parse(from));
  if (b === 0n) return "";
  const hundredths = ((a - b) * 100_000n) / b;
  const rounded = (hundredths + (hundredths < 0n ? -5n : 5n)) / 10n;
  return `${rounded > 0n ? "+" : rounded < 0n ? "−" : ""}${text(rounded < 0n ? -rounded : rounded, 2)} %`;
}

/** Parts of 100 with the proportions of `decimals`, to two decimals, whose sum is exactly 100. */
export function normalized(decimals: readonly string[]): string[] {
  const places = Math.max(0, ...decimals.map((decimal) => parse(decimal).places));
  const units = decimals.map((decimal) => parse(decimal).digits * 10n ** BigInt(places - parse(decimal).places));
  const sum = units.reduce((total, unit) => total + unit, 0n);
  if (sum <= 0n) return [...decimals];
  const parts = units.map((unit) => (unit * 10_000n) / sum);
  let left = 10_000n - parts.reduce((total, part) => total + part, 0n);
  return parts.map((part, index) => {
    const more = left > 0n && units[index] !== 0n ? 1n : 0n;
    left -= more;
    return text(part + more, 2);
  });
}

type Formatter = (decimal: string) => string;

/** To make a format takes a hundred times as long as to use it. */
function formatter(options: Intl.NumberFormatOptions): Formatter {
  const format = new Intl.NumberFormat(LOCALE, options);
  return (decimal) => format.format(decimal as Intl.StringNumericLiteral).replace("-", "−");
}

const TO_THE_CENT = formatter({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
const WITH_SIGN = formatter({ minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
const EVERY_DIGIT = formatter({ maximumFractionDigits: 20 });
const SEVEN_DIGITS = formatter({ maximumSignificantDigits: 7 });

/** An amount of the quote asset, to the cent. */
export function amount(decimal: string): string {
  return TO_THE_CENT(decimal);
}

/** An amount that was added or lost, to the cent, with its sign. */
export function signedAmount(decimal: string): string {
  return WITH_SIGN(decimal);
}

/** A price or a quantity, every digit. */
export function exact(decimal: string): string {
  return EVERY_DIGIT(decimal);
}

/** A price in at most seven significant digits: for prices that were computed and are no order's. */
export function rounded(decimal: string): string {
  return SEVEN_DIGITS(decimal);
}

/** A percentage that was gained or lost, to two decimals, with its sign. */
export function signedPercent(decimal: string): string {
  return `${WITH_SIGN(decimal)} %`;
}

/** A percentage, to two decimals. */
export function percent(decimal: string): string {
  return `${TO_THE_CENT(decimal)} %`;
}
