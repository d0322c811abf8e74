"""The rebalancing bonus: what all fills booked so far have added to just holding, by the totals of these fills."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from botbalance.engine import Evaluation, InvalidInputError, bonus_by_asset
from botbalance.engine.valuation import pairs_by_symbol
from botbalance.errors import BotBalanceError, InvalidRequestError
from botbalance.exchange.adapter import ExchangeAdapter, ExchangeOrder
from botbalance.models.account_state import FillTotals
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading.context import TradingContext


def bonus_of_totals(totals: Mapping[str, FillTotals], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What the fills of each base asset have added, in quote; raises InvalidRequestError where one has no price.

    ``prices`` are by asset, in quote.
    """
    try:
        return bonus_by_asset({base: total.net for base, total in totals.items()}, prices)
    except InvalidInputError as error:
        raise InvalidRequestError("price_unavailable", str(error)) from error


def traded_assets(totals: Mapping[str, FillTotals]) -> set[str]:
    """Every asset that was bought, sold or paid as a fee."""
    return {asset for total in totals.values() for asset in total.net}


def prices_in_quote(
    context: TradingContext, strategy: Strategy, evaluation: Evaluation, traded: Collection[str]
) -> dict[str, Decimal]:
    """The price of every managed asset, as it was evaluated, and of every ``traded`` one besides, in the quote asset.

    Raises InvalidRequestError where one of these has no price.
    """
    prices = {row.asset: row.price for row in evaluation.rows if row.price is not None}
    further = pairs_by_symbol((asset for asset in traded if asset not in prices), strategy.quote_asset)
    if further:
        try:
            found = context.portfolio.prices(strategy.exchange, list(further))
        except (BotBalanceError, InvalidInputError) as error:
            raise InvalidRequestError("price_unavailable", f"what was traded has no price now: {error}") from error
        prices |= {further[symbol]: price for symbol, price in found.items()}
    return prices


def first_unbooked(
    exchange: ExchangeAdapter, open_orders: Collection[ExchangeOrder], orders: Sequence[Order]
) -> Order | None:
    """The first of ``orders`` of which something may be filled that is not booked; None where all are booked.

    ``open_orders`` are the account's, as the exchange has just told of them.
    """
    resting = {order.client_order_id: order.filled_qty for order in open_orders}
    for order in orders:
        if order.exchange != exchange.exchange:
            continue
        told = resting.get(exchange.exchange_client_order_id(order.client_order_id))
        if not order.fills_complete or (order.is_active and told != order.filled_qty):
            return order
    return None
