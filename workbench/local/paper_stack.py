"""The whole product at home, on paper: live public prices, a paper account, and state that outlives the process.

The handlers, tables, queue and routes are the ones that are deployed. No AWS account, no exchange account and no key
takes part; a key could not be kept here either, for want of a key service to encrypt it with.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, NoReturn, Self

from botbalance import bootstrap
from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine import hold_value, net_quantities, rebalancing_bonus
from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.errors import ConflictError, InvalidRequestError, TransientError
from botbalance.models.decision import tick_start
from botbalance.models.order import Order
from botbalance.models.paper import PaperAccount
from botbalance.settings import read_settings
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.orders import list_orders
from botbalance.trading.paper import open_paper
from botbalance.trading.plan import preview
from botbalance.trading.strategy import save_strategy

from workbench.aws.resources import CREDENTIALS, in_process_environment
from workbench.aws.template import read_template
from workbench.backtest.inputs import read_balances
from workbench.local.api_gateway import DEMO_USER, ApiGateway, preflight_headers
from workbench.local.clock import ExchangeClock, tick_at
from workbench.local.durable_tables import durable_tables
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.queues import InProcessQueues
from workbench.local.stack import DISPATCH, WORK, PortfolioStatus, drain_queue, own_settings
from workbench.portfolios import demo as demo_portfolio
from workbench.simulated_exchange.control_client import ControlClient

START_QUOTE = Decimal(10_000)
"""Of a paper account that is opened without balances."""
_OPENED_ONCE = "the paper account is open already: `botbalance paper reset` starts it anew"


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """What a run on paper is asked for. ``exchange`` is whose prices count, ``data`` the folder of its state.

    ``strategy`` and ``balances`` are files for the account's first start. ``base_url`` stands in for the exchange's own
    host; where a simulated exchange answers there, the run goes by its clock, and lets it go on.
    """

    exchange: str
    data: Path
    port: int = 0
    strategy: Path | None = None
    balances: Path | None = None
    base_url: str | None = None


class PaperStack:
    """Everything, wired together; a context manager that ends it cleanly."""

    signing_secret: str | None = None
    """Nobody is told anything: an address would have to be encrypted."""

    def __init__(self, options: PaperOptions) -> None:
        self._options = options
        self._exchange = f"{options.exchange}-paper"
        self._template = read_template()
        self._runtime = LambdaRuntime()
        self._gateway = ApiGateway(
            self._template.routes(),
            self._runtime,
            self.tick,
            port=options.port,
            notify_now=lambda: None,
            preflight=preflight_headers(self._template),
        )
        self._clock: Callable[[], int] = lambda: int(time.time())
        self._next_tick: Callable[[], int] = lambda: tick_start(self._clock())
        self._ticking = Lock()
        self._started = ExitStack()

    @property
    def url(self) -> str:
        """Where the API answers, without a trailing slash."""
        return self._gateway.url

    @property
    def described(self) -> str:
        """What it runs on, for whoever has just started it."""
        return f"on PAPER, at the prices of {self._options.exchange}; its state is in {self._options.data}"

    def __enter__(self) -> Self:
        try:
            return self._start()
        except BaseException:
            self._started.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    def tick(self) -> dict[str, Any]:
        """Run the autopilot once through dispatch, queue and work; returns what dispatch said."""
        with self._ticking:
            answer: dict[str, Any] = self._runtime.invoke(DISPATCH, {"tick_at": tick_at(self._next_tick())})
            drain_queue(self._runtime, bootstrap.services().settings.tick_queue_url, WORK)
            return answer

    def standing(self) -> PortfolioStatus:
        """Where the paper account stands now, by the same plan that the API shows."""
        return self._runtime.between_invocations(self._standing)

    def _standing(self) -> PortfolioStatus:
        context = bootstrap.services().context
        list_orders(context, DEMO_USER, limit=1, cursor=None)
        plan = preview(context, DEMO_USER)
        orders = self._orders()
        account = context.paper.get(DEMO_USER, self._exchange)
        prices = {row.asset: row.price for row in plan.evaluation.rows if row.price is not None}
        prices[plan.strategy.quote_asset] = Decimal(1)
        start = _sum(account.start_balances, account.transfers)
        return PortfolioStatus(
            plan=plan,
            orders=orders,
            hold_quote=hold_value({asset: held for asset, held in start.items() if asset in prices}, prices),
            bonus_quote=rebalancing_bonus(
                [fill for order in orders for fill in order.as_engine_fills() if fill.base in prices], prices
            ),
            left={},
        )

    def book_differences(self) -> list[str]:
        """In what the paper account's books and our orders disagree; empty where they agree to the last digit."""
        context = bootstrap.services().context
        return book_differences(context.paper.get(DEMO_USER, self._exchange), self._orders())

    def _orders(self) -> list[Order]:
        """Those of the account's epoch, and what was refused there."""
        context = bootstrap.services().context
        account = context.find_account(DEMO_USER, self._exchange)
        return [
            order
            for order in context.orders.iter_all(DEMO_USER)
            if order.account == account or (order.exchange == self._exchange and order.exchange_order_id is None)
        ]

    def _start(self) -> Self:
        os.environ |= CREDENTIALS
        self._take_stand_in_time()
        tables = self._started.enter_context(durable_tables(self._template, self._options.data, self._clock()))
        services = bootstrap.Services(read_settings(self._environment()), clock=self._clock)
        services.dynamodb = tables  # type: ignore[assignment]
        services.sqs = InProcessQueues()  # type: ignore[assignment]
        services.kms = _NoKeys()  # type: ignore[assignment]
        self._started.callback(services.close)
        bootstrap.use(services)
        self._started.callback(bootstrap.use, None)
        self._open_account(services)
        self._started.callback(self._gateway.stop)
        self._gateway.start()
        return self

    def _take_stand_in_time(self) -> None:
        if self._options.base_url is None:
            return
        door = ControlClient(self._options.base_url)
        self._started.callback(door.close)
        try:
            about = door.about()
        except (TransientError, InvalidRequestError):  # another stand-in, in the time of everybody
            return
        clock = ExchangeClock(door, about.now)
        self._clock = clock
        self._next_tick = lambda: clock.next_tick(about.speed)

    def _environment(self) -> dict[str, str]:
        stand_in = {}
        if self._options.base_url is not None:
            stand_in = {"EXCHANGE_BASE_URL": self._options.base_url, "SIMULATED_EXCHANGE": self._options.exchange}
        return (
            in_process_environment(self._template, "")
            | {"USER_REQUESTS_PER_MINUTE": "1000000"}
            | own_settings()
            | stand_in
        )

    def _open_account(self, services: bootstrap.Services) -> None:
        """Open the account, and save its strategy, where an earlier run has not."""
        context, options = services.context, self._options
        is_new = context.paper.find(DEMO_USER, self._exchange) is None
        if not is_new and options.balances is not None:
            raise InvalidRequestError("balances", f"--balances is {options.balances}: {_OPENED_ONCE}")
        stored = context.strategies.find(DEMO_USER)
        if options.strategy is None and stored is not None:
            wanted = StrategyRequest.model_validate(stored.model_dump(include=set(StrategyRequest.model_fields)))
        elif options.strategy is None:
            wanted = demo_portfolio.demo_strategy()
        else:
            wanted = demo_portfolio.read_strategy(options.strategy)
        if is_new:
            opened_with = {wanted.quote_asset: START_QUOTE}
            if options.balances is not None:
                opened_with = read_balances(options.balances, wanted)
            open_paper(context, DEMO_USER, self._exchange, opened_with)
        if stored is None or options.strategy is not None or stored.exchange != self._exchange:
            save_strategy(context, DEMO_USER, wanted.model_dump() | {"exchange": self._exchange}, stored)
        if is_new:
            switch_autopilot(context, DEMO_USER, enabled=True)


def book_differences(account: PaperAccount, orders: list[Order]) -> list[str]:
    """In what the books of a paper account and our orders of its epoch disagree: what is held, and what rests."""
    found = []
    fills = [fill for order in orders for fill in order.as_engine_fills()]
    expected = _sum(_sum(account.start_balances, account.transfers), net_quantities(fills, {}))
    for asset in sorted(expected.keys() | account.balances.keys()):
        balance = account.balances.get(asset)
        with ExactArithmetic():
            held = ZERO if balance is None else balance.free + balance.locked
        if held != expected.get(asset, ZERO):
            found.append(f"{asset}: {held:f} is held, and {expected.get(asset, ZERO):f} by our orders' fills")
    resting = {order.client_order_id for order in account.orders}
    active = {order.client_order_id for order in orders if order.is_active}
    found += [f"order {key} rests in the books, and not in ours" for key in sorted(resting - active)]
    found += [f"order {key} rests in ours, and not in the books" for key in sorted(active - resting)]
    ids = [fill.trade_id for order in orders for fill in order.fills]
    found += [f"fill {trade_id} is booked twice" for trade_id in sorted({one for one in ids if ids.count(one) > 1})]
    return found


def _sum(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    with ExactArithmetic():
        return {asset: one.get(asset, ZERO) + other.get(asset, ZERO) for asset in {**one, **other}}


class _NoKeys:
    """In place of KMS: what a run on paper would encrypt is lost when it ends, so it takes no key."""

    def encrypt(self, **_: Any) -> NoReturn:
        raise ConflictError("paper_only", "this run trades on paper alone, and keeps no keys: deploy it to trade live")

    generate_data_key = encrypt

    def close(self) -> None:
        """Nothing is open."""
