"""What an account is asked for with its key: holdings, fills, fees, limits, and what the key may do."""

from collections.abc import Callable

from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.limits import OrderLimit
from workbench.simulated_exchange.matching_engine import Account, MatchingEngine
from workbench.simulated_exchange.parameters import Parameters
from workbench.simulated_exchange.routes import (
    DAY_MS,
    Routes,
    known_symbol,
    page,
    parse_time_span,
    signed,
    wanted_symbols,
)

_FILTERS = ("orderId", "fromId", "startTime", "endTime")
_TOGETHER = ({"startTime", "endTime"}, {"orderId", "fromId"})
"""The filters of fills that may be combined."""


class AccountRoutes:
    """Answers from ``books``; ``orders_placed`` tells how many orders a key has placed, by limit."""

    def __init__(self, books: MatchingEngine, orders_placed: Callable[[str], list[tuple[OrderLimit, int]]]) -> None:
        self._books = books
        self._orders_placed = orders_placed

    def routes(self) -> Routes:
        """What of the account can be asked for."""
        return {
            ("GET", "/api/v3/account"): signed(self._account, 20, "omitZeroBalances"),
            ("GET", "/api/v3/account/commission"): signed(self._commission, 20, "symbol"),
            ("GET", "/api/v3/rateLimit/order"): signed(self._order_limits, 40),
            ("GET", "/api/v3/myTrades"): signed(
                self._my_trades,
                lambda parameters: 20 if parameters.text("orderId") is None else 5,
                "symbol orderId startTime endTime fromId limit",
            ),
            ("GET", "/sapi/v1/account/apiRestrictions"): signed(self._api_restrictions, 1),
            ("GET", "/sapi/v1/asset/tradeFee"): signed(self._trade_fee, 1, "symbol"),
        }

    def _account(self, parameters: Parameters, account: Account) -> object:
        return responses.account(self._books, account, omit_zero=parameters.flag("omitZeroBalances"))

    def _commission(self, parameters: Parameters, _: Account) -> object:
        return responses.commission(self._books, known_symbol(self._books.market, parameters))

    def _order_limits(self, _: Parameters, account: Account) -> object:
        return [responses.order_limit(limit, count) for limit, count in self._orders_placed(account.api_key)]

    def _my_trades(self, parameters: Parameters, account: Account) -> object:
        symbol, limit = known_symbol(self._books.market, parameters), parameters.limit(500, 1_000)
        order_id, from_id = parameters.integer("orderId"), parameters.integer("fromId")
        start, end = parse_time_span(parameters, longest_ms=DAY_MS)
        sent = {name for name in _FILTERS if parameters.text(name) is not None}
        if len(sent) > 1 and sent not in _TOGETHER:
            raise errors.invalid_combination()
        trades = [
            trade
            for trade in account.trades
            if trade.symbol == symbol
            and (order_id is None or trade.order_id == order_id)
            and (from_id is None or trade.trade_id >= from_id)
            and (start is None or trade.time >= start)
            and (end is None or trade.time <= end)
        ]
        from_the_start = from_id is not None or start is not None
        return [responses.trade(trade) for trade in page(trades, limit, from_the_start=from_the_start)]

    def _api_restrictions(self, _: Parameters, account: Account) -> object:
        return responses.api_restrictions(account)

    def _trade_fee(self, parameters: Parameters, _: Account) -> object:
        return [responses.trade_fee(self._books, symbol) for symbol in wanted_symbols(self._books.market, parameters)]
