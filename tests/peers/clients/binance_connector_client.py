# /// script
# requires-python = ">=3.13"
# dependencies = ["binance-connector==3.13.0"]
# ///
"""Binance's own older client, binance-connector."""

from decimal import Decimal
from typing import Any

from binance.spot import Spot
from scenario import SYMBOL, Fill, Order, arguments, drive


class Connector:
    package = "binance-connector"

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._client = Spot(api_key=key, api_secret=secret, base_url=url)

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        held = self._client.account(omitZeroBalances="true")["balances"]
        return {one["asset"]: (Decimal(one["free"]), Decimal(one["locked"])) for one in held}

    def market(self) -> tuple[Decimal, Decimal]:
        [told] = self._client.exchange_info(symbol=SYMBOL)["symbols"]
        filters = {one["filterType"]: one for one in told["filters"]}
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])

    def last_price(self) -> Decimal:
        return Decimal(self._client.ticker_price(SYMBOL)["price"])

    def best(self) -> tuple[Decimal, Decimal]:
        told = self._client.book_ticker(SYMBOL)
        return Decimal(told["bidPrice"]), Decimal(told["askPrice"])

    def open_times(self, interval: str) -> list[int]:
        return [row[0] for row in self._client.klines(SYMBOL, interval, limit=10)]

    def average_price(self) -> Decimal:
        return Decimal(self._client.avg_price(SYMBOL)["price"])

    def public_trades(self) -> int:
        return len(self._client.trades(SYMBOL, limit=5))

    def aggregate_trades(self) -> int:
        return len(self._client.agg_trades(SYMBOL, limit=5))

    def clock(self) -> int:
        return int(self._client.time()["serverTime"])

    def fees(self) -> Decimal:
        return Decimal(self._client.query_commission_rates(SYMBOL)["standardCommission"]["maker"])

    def orders_placed(self) -> int:
        return int(self._client.get_order_rate_limit()[1]["count"])

    def try_out(self, qty: str, price: str) -> Any:
        return self._client.new_order_test(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity=qty, price=price
        )

    def place(self, side: str, qty: str, price: str, *, waits: str = "GTC", client_id: str | None = None) -> Order:
        named = {"newClientOrderId": client_id} if client_id else {}
        return _order(
            self._client.new_order(SYMBOL, side, "LIMIT", timeInForce=waits, quantity=qty, price=price, **named)
        )

    def place_maker(self, side: str, qty: str, price: str) -> Order:
        return _order(
            self._client.new_order(SYMBOL, side, "LIMIT_MAKER", quantity=qty, price=price, newOrderRespType="RESULT")
        )

    def place_at_market(self, side: str, qty: str) -> Order:
        return _order(self._client.new_order(SYMBOL, side, "MARKET", quantity=qty))

    def query(self, order: Order) -> Order:
        return _order(self._client.get_order(SYMBOL, orderId=order.id))

    def query_by_client_id(self, client_id: str) -> Order:
        return _order(self._client.get_order(SYMBOL, origClientOrderId=client_id))

    def open_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in self._client.get_open_orders(SYMBOL)]

    def all_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in self._client.get_orders(SYMBOL)]

    def cancel(self, order: Order) -> Order:
        return _order(self._client.cancel_order(SYMBOL, orderId=order.id))

    def cancel_all(self) -> int:
        return len(self._client.cancel_open_orders(SYMBOL))

    def replace(self, order: Order, qty: str, price: str) -> Order:
        told = self._client.cancel_and_replace(
            SYMBOL,
            "BUY",
            "LIMIT",
            "STOP_ON_FAILURE",
            cancelOrderId=order.id,
            timeInForce="GTC",
            quantity=qty,
            price=price,
        )
        return _order(told["newOrderResponse"])

    def fills(self, order: Order) -> list[Fill]:
        return [_fill(one) for one in self._client.my_trades(SYMBOL, orderId=order.id)]

    def fills_between(self, start: int, end: int) -> int:
        return len(self._client.my_trades(SYMBOL, startTime=start, endTime=end))

    def with_another_key(self) -> Any:
        return Spot(api_key="n" * 64, api_secret="n", base_url=self._url).account()

    def with_an_unknown_parameter(self) -> Any:
        return self._client.account(everything="true")

    def of_another_symbol(self) -> Any:
        return self._client.ticker_price("NOPEUSDT")


def _order(told: dict[str, Any]) -> Order:
    return Order(str(told["orderId"]), told["status"], Decimal(told["executedQty"]), told["clientOrderId"])


def _fill(told: dict[str, Any]) -> Fill:
    return Fill(Decimal(told["price"]), Decimal(told["qty"]), Decimal(told["commission"]), str(told["commissionAsset"]))


drive(Connector(*arguments()))
