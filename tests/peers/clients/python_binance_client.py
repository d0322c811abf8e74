# /// script
# requires-python = ">=3.13"
# dependencies = ["python-binance==1.0.37"]
# ///
"""python-binance, the client that most people begin with."""

from decimal import Decimal
from typing import Any

from binance.client import Client
from scenario import SYMBOL, Fill, Order, arguments, drive


def _client(url: str, key: str, secret: str) -> Client:
    client = Client(key, secret, ping=False)
    client.API_URL = f"{url}/api"
    return client


class PythonBinance:
    package = "python-binance"

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._client = _client(url, key, secret)

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        held = self._client.get_account()["balances"]
        return {one["asset"]: (Decimal(one["free"]), Decimal(one["locked"])) for one in held}

    def market(self) -> tuple[Decimal, Decimal]:
        told = self._client.get_symbol_info(SYMBOL)
        filters = {one["filterType"]: one for one in told["filters"]}
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])

    def last_price(self) -> Decimal:
        return Decimal(self._client.get_symbol_ticker(symbol=SYMBOL)["price"])

    def best(self) -> tuple[Decimal, Decimal]:
        told = self._client.get_orderbook_ticker(symbol=SYMBOL)
        return Decimal(told["bidPrice"]), Decimal(told["askPrice"])

    def open_times(self, interval: str) -> list[int]:
        return [row[0] for row in self._client.get_klines(symbol=SYMBOL, interval=interval, limit=10)]

    def average_price(self) -> Decimal:
        return Decimal(self._client.get_avg_price(symbol=SYMBOL)["price"])

    def public_trades(self) -> int:
        return len(self._client.get_recent_trades(symbol=SYMBOL, limit=5))

    def aggregate_trades(self) -> int:
        return len(self._client.get_aggregate_trades(symbol=SYMBOL, limit=5))

    def clock(self) -> int:
        return int(self._client.get_server_time()["serverTime"])

    def fees(self) -> Decimal:
        told = self._client._get("account/commission", True, "v3", data={"symbol": SYMBOL})
        return Decimal(told["standardCommission"]["maker"])

    def orders_placed(self) -> int:
        return int(self._client.get_current_order_count()[1]["count"])

    def try_out(self, qty: str, price: str) -> Any:
        return self._client.create_test_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity=qty, price=price
        )

    def place(self, side: str, qty: str, price: str, *, waits: str = "GTC", client_id: str | None = None) -> Order:
        named = {"newClientOrderId": client_id} if client_id else {}
        return _order(
            self._client.create_order(
                symbol=SYMBOL, side=side, type="LIMIT", timeInForce=waits, quantity=qty, price=price, **named
            )
        )

    def place_maker(self, side: str, qty: str, price: str) -> Order:
        return _order(
            self._client.create_order(
                symbol=SYMBOL, side=side, type="LIMIT_MAKER", quantity=qty, price=price, newOrderRespType="RESULT"
            )
        )

    def place_at_market(self, side: str, qty: str) -> Order:
        return _order(self._client.order_market(symbol=SYMBOL, side=side, quantity=qty))

    def query(self, order: Order) -> Order:
        return _order(self._client.get_order(symbol=SYMBOL, orderId=order.id))

    def query_by_client_id(self, client_id: str) -> Order:
        return _order(self._client.get_order(symbol=SYMBOL, origClientOrderId=client_id))

    def open_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in self._client.get_open_orders(symbol=SYMBOL)]

    def all_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in self._client.get_all_orders(symbol=SYMBOL)]

    def cancel(self, order: Order) -> Order:
        return _order(self._client.cancel_order(symbol=SYMBOL, orderId=order.id))

    def cancel_all(self) -> int:
        return len(self._client.cancel_all_open_orders(symbol=SYMBOL))

    def replace(self, order: Order, qty: str, price: str) -> Order:
        told = self._client.cancel_replace_order(
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT",
            cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=order.id,
            timeInForce="GTC",
            quantity=qty,
            price=price,
        )
        return _order(told["newOrderResponse"])

    def fills(self, order: Order) -> list[Fill]:
        return [_fill(one) for one in self._client.get_my_trades(symbol=SYMBOL, orderId=order.id)]

    def fills_between(self, start: int, end: int) -> int:
        return len(self._client.get_my_trades(symbol=SYMBOL, startTime=start, endTime=end))

    def with_another_key(self) -> Any:
        return _client(self._url, "n" * 64, "n").get_account()

    def with_an_unknown_parameter(self) -> Any:
        return self._client.get_account(everything="true")

    def of_another_symbol(self) -> Any:
        return self._client.get_symbol_ticker(symbol="NOPEUSDT")


def _order(told: dict[str, Any]) -> Order:
    return Order(str(told["orderId"]), told["status"], Decimal(told["executedQty"]), told["clientOrderId"])


def _fill(told: dict[str, Any]) -> Fill:
    return Fill(Decimal(told["price"]), Decimal(told["qty"]), Decimal(told["commission"]), str(told["commissionAsset"]))


drive(PythonBinance(*arguments()))
