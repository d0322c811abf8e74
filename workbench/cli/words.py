"""Words for the API's codes."""

SKIP_REASONS = {
    "quote_asset": "cash",
    "within_band": "within the band",
    "active_order": "an order is resting",
    "paused": "paused",
    "market_closed": "the market is closed",
    "outside_price_limits": "outside the market's price limits",
    "no_free_balance": "nothing free to trade with",
    "below_min_qty": "less than the market's smallest quantity",
    "below_min_notional": "less than the market's smallest order",
}
"""Why an asset is not traded, by SkipReason."""

ORDER_STATES = {
    "PENDING": "being sent",
    "OPEN": "resting",
    "PARTIALLY_FILLED": "partly filled",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "REJECTED": "refused",
    "EXPIRED": "expired",
}
"""What state an order is in, by OrderStatus."""


def in_words(code: str) -> str:
    """A code without words of its own: ``stale_price`` is "stale price"."""
    return code.replace("_", " ")
