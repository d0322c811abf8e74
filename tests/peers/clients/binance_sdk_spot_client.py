# /// script
# requires-python = ">=3.13"
# dependencies = ["binance-sdk-spot==13.3.0"]
# ///
"""Binance's own newer client, binance-sdk-spot, whose models are made from Binance's description of its API."""

from decimal import Decimal
from typing import Any

from binance_common.configuration import ConfigurationRestAPI
from binance_common.utils import send_request
from binance_sdk_spot.spot import Spot
from scenario import SYMBOL, Fill, Order, arguments, drive


def _api(url: str, key: str, secret: str) -> Any:
    return Spot(config_rest_api=ConfigurationRestAPI(api_key=key, api_secret=secret, base_path=url)).rest_api


def _plain(answer: Any) -> Any:
    """What was answered, as the client's models have it, in Binance's names."""
    told = answer.data()
    if isinstance(told, list):
        return [one.to_dict() if hasattr(one, "to_dict") else one for one in told]
    return told.to_dict()


class Sdk:
    package = "binance-sdk-spot"

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._api = _api(url, key, secret)

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        held = _plain(self._api.get_account(omit_zero_balances=True))["balances"]
        return {one["asset"]: (Decimal(one["free"]), Decimal(one["locked"])) for one in held}

    def market(self) -> tuple[Decimal, Decimal]:
        [told] = _plain(self._api.exchange_info(symbol=SYMBOL))["symbols"]
        filters = {one["filterType"]: one for one in told["filters"]}
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])

    def last_price(self) -> Decimal:
        return Decimal(_plain(self._api.ticker_price(symbol=SYMBOL))["price"])

    def best(self) -> tuple[Decimal, Decimal]:
        told = _plain(self._api.ticker_book_ticker(symbol=SYMBOL))
        return Decimal(told["bidPrice"]), Decimal(told["askPrice"])

    def open_times(self, interval: str) -> list[int]:
        return [int(row[0]) for row in _plain(self._api.klines(symbol=SYMBOL, interval=interval, limit=10))]

    def average_price(self) -> Decimal:
        return Decimal(_plain(self._api.avg_price(symbol=SYMBOL))["price"])

    def public_trades(self) -> int:
        return len(_plain(self._api.get_trades(symbol=SYMBOL, limit=5)))

    def aggregate_trades(self) -> int:
        return len(_plain(self._api.agg_trades(symbol=SYMBOL, limit=5)))

    def clock(self) -> int:
        return int(_plain(self._api.time())["serverTime"])

    def fees(self) -> Decimal:
        return Decimal(_plain(self._api.account_commission(symbol=SYMBOL))["standardCommission"]["maker"])

    def orders_placed(self) -> int:
        return int(_plain(self._api.rate_limit_order())[1]["count"])

    def try_out(self, qty: str, price: str) -> Any:
        told = _plain(
            self._api.order_test(
                symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=qty, price=price
            )
        )
        return {name: value for name, value in told.items() if value is not None}

    def place(self, side: str, qty: str, price: str, *, waits: str = "GTC", client_id: str | None = None) -> Order:
        return _order(
            self._api.new_order(
                symbol=SYMBOL,
                side=side,
                type="LIMIT",
                time_in_force=waits,
                quantity=qty,
                price=price,
                new_client_order_id=client_id,
            )
        )

    def place_maker(self, side: str, qty: str, price: str) -> Order:
        return _order(
            self._api.new_order(
                symbol=SYMBOL, side=side, type="LIMIT_MAKER", quantity=qty, price=price, new_order_resp_type="RESULT"
            )
        )

    def place_at_market(self, side: str, qty: str) -> Order:
        return _order(self._api.new_order(symbol=SYMBOL, side=side, type="MARKET", quantity=qty))

    def query(self, order: Order) -> Order:
        return _order(self._api.get_order(symbol=SYMBOL, order_id=int(order.id)))

    def query_by_client_id(self, client_id: str) -> Order:
        return _order(self._api.get_order(symbol=SYMBOL, orig_client_order_id=client_id))

    def open_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in _plain(self._api.get_open_orders(symbol=SYMBOL))]

    def all_orders(self) -> list[str]:
        return [str(one["orderId"]) for one in _plain(self._api.all_orders(symbol=SYMBOL))]

    def cancel(self, order: Order) -> Order:
        return _order(self._api.delete_order(symbol=SYMBOL, order_id=int(order.id)))

    def cancel_all(self) -> int:
        return len(_plain(self._api.delete_open_orders(symbol=SYMBOL)))

    def replace(self, order: Order, qty: str, price: str) -> Order:
        told = _plain(
            self._api.order_cancel_replace(
                symbol=SYMBOL,
                side="BUY",
                type="LIMIT",
                cancel_replace_mode="STOP_ON_FAILURE",
                cancel_order_id=int(order.id),
                time_in_force="GTC",
                quantity=qty,
                price=price,
            )
        )
        return _parse_order(told["newOrderResponse"])

    def fills(self, order: Order) -> list[Fill]:
        return [_fill(one) for one in _plain(self._api.my_trades(symbol=SYMBOL, order_id=int(order.id)))]

    def fills_between(self, start: int, end: int) -> int:
        return len(_plain(self._api.my_trades(symbol=SYMBOL, start_time=start, end_time=end)))

    def with_another_key(self) -> Any:
        return _api(self._url, "n" * 64, "n").get_account()

    def with_an_unknown_parameter(self) -> Any:
        # Its own send_signed_request subscripts a function, and fails before it sends anything.
        asked = {"everything": "true"}
        return send_request(
            self._api._session, self._api.configuration, "GET", "/api/v3/account", asked, is_signed=True
        )

    def of_another_symbol(self) -> Any:
        return self._api.ticker_price(symbol="NOPEUSDT")


def _order(answer: Any) -> Order:
    return _parse_order(_plain(answer))


def _parse_order(told: dict[str, Any]) -> Order:
    return Order(str(told["orderId"]), told["status"], Decimal(told["executedQty"]), told["clientOrderId"])


def _fill(told: dict[str, Any]) -> Fill:
    return Fill(Decimal(told["price"]), Decimal(told["qty"]), Decimal(told["commission"]), str(told["commissionAsset"]))


drive(Sdk(*arguments()))
