/** Times as a person reads them. */

const DATE_TIME = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** A date and time in the reader's time zone; `epoch` in seconds. */
export function dateTime(epoch: number): string {
  return DATE_TIME.format(epoch * 1000);
}

const DATE_TIME_UTC = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  timeZone: "UTC",
});

/** A date and time of UTC, to the minute; `epoch` in seconds. */
export function dateTimeUtc(epoch: number): string {
  return DATE_TIME_UTC.format(epoch * 1000);
}

const DAY = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "2-digit", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "long", timeZone: "UTC" });

/** The day of UTC; `epoch` in seconds. */
export function day(epoch: number): string {
  return DAY.format(epoch * 1000);
}

/** The month of UTC; `epoch` in seconds. */
export function month(epoch: number): string {
  return MONTH.format(epoch * 1000);
}

/** A duration in its two largest units: "3 min 20 s". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units: readonly [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  let left = whole;
  const parts: string[] = [];
  for (const [size, name] of units.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${name}`);
  }
  return parts.join(" ");
}

/** How long ago something was, where `now` and `then` are epoch seconds. */
export function ago(then: number, now: number): string {
  return now - then < 2 ? "just now" : `${duration(now - then)} ago`;
}

/** Whether `value` is a count, or a time in whole milliseconds. */
export function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** The number that `text`, digits alone, stands for. No money: seconds, or a count that JSON has as a number. */
export function wholeNumber(text: string): number {
  return Number.parseInt(text, 10);
}
