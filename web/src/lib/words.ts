/** Words for the API's codes. The types come from the API's document, so a code without words does not compile. */
import type { components } from "../api/schema";

type Schemas = components["schemas"];
export type SkipReason = Schemas["SkipReason"];
export type OrderStatus = Schemas["OrderStatus"];

export const SKIP_REASONS: Record<SkipReason, string> = {
  quote_asset: "Cash. It is what buys are paid from.",
  within_band: "Inside the band. Nothing to do.",
  active_order: "An order is resting.",
  paused: "Paused. No order is placed until you resume it.",
  market_closed: "The market is not trading.",
  outside_price_limits: "The limit price is outside what the market takes.",
  no_free_balance: "Nothing free to trade with.",
  below_min_qty: "The order would be below the market's smallest quantity.",
  below_min_notional: "The order would be below the market's smallest value.",
};

export const ORDER_STATUSES: Record<OrderStatus, string> = {
  PENDING: "being sent",
  OPEN: "resting",
  PARTIALLY_FILLED: "partly filled",
  FILLED: "filled",
  CANCELED: "cancelled",
  REJECTED: "refused",
  EXPIRED: "expired",
};

export const RESTING: ReadonlySet<OrderStatus> = new Set(["PENDING", "OPEN", "PARTIALLY_FILLED"]);

/** A code without words of its own: "stale_price" is "stale price". */
export function inWords(code: string): string {
  return code.replaceAll("_", " ").replaceAll(".", " ");
}
