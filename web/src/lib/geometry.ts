/** Turns decimal strings into lengths of a picture. The only place where a number loses digits; none is shown. */
export function length(decimal: string): number {
  return Number(decimal);
}

/** A share of the common scale, in percent from 0 to 100. */
export function percentOfScale(decimal: string, scale: number): number {
  return Math.max(0, Math.min(100, (length(decimal) / scale) * 100));
}
