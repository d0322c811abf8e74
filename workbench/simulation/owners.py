"""What owners, strangers in the exchange's app, and the operator do; each act can also be called by a test."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from botbalance.exchange.profiles import DEFAULT_EXCHANGE, PROFILES
from botbalance.models.decision import TICK_SECONDS
from botbalance.store.orders import parse_order

from workbench.faults.kinds import KINDS, FaultKind, Where
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulation.dynamodb import read_items
from workbench.simulation.exchange import Manner
from workbench.simulation.invariants import Invariant
from workbench.simulation.world import ASSETS, QUOTE, User, World

ANOTHER_EXCHANGE = next(name for name in PROFILES if name != DEFAULT_EXCHANGE)
"""One that nobody simulates here."""

MOST_DELISTED = 3
SELDOM = (
    FaultKind.PRICE_JUMP,
    FaultKind.DUPLICATE,
    FaultKind.BANNED,
    FaultKind.NOT_YET_SHOWN,
    FaultKind.PRICE_BAND,
    FaultKind.VANISHED_BALANCES,
    FaultKind.LATE_REPORT,
    FaultKind.STALE_ORDER,
    FaultKind.TIMEOUT_AFTER,
    FaultKind.DOUBTFUL_QUOTE,
    FaultKind.LIMITED,
    FaultKind.REVOKED,
    FaultKind.NO_PERMISSION,
    FaultKind.INSUFFICIENT_BALANCE,
    FaultKind.TOO_MANY_ORDERS,
    FaultKind.WOULD_TAKE,
    FaultKind.LATE_FILL,
    FaultKind.OVERFILLED,
    FaultKind.CLOCK_SKEW,
    FaultKind.MAINTENANCE,
    FaultKind.NOT_RECEIVED,
    FaultKind.TRUNCATED,
    FaultKind.SERVER_ERROR,
    FaultKind.SERVER_ERROR_AFTER,
)
"""Faults that few requests can meet, or that chance leaves out of some episodes."""
NEVER_ASKED = frozenset({Where.ALL_ORDERS})
"""What the product asks no exchange for: a fault that is dealt out for it would strike nothing."""
STRATEGY = "/api/me/strategies/rebalance"
AUTOPILOT = "/api/me/strategies/rebalance/autopilot"
CREDENTIALS = "/api/me/exchange/credentials"


class Act(StrEnum):
    """What somebody does."""

    AUTOPILOT_ON = "autopilot_on"
    AUTOPILOT_OFF = "autopilot_off"
    CHANGE_STRATEGY = "change_strategy"
    CHANGE_EXCHANGE = "change_exchange"
    DELETE_KEY = "delete_key"
    STORE_KEY = "store_key"
    EXECUTE = "execute"
    STOP = "stop"
    CANCEL_ONE = "cancel_one"
    CANCEL_ALL = "cancel_all"
    HALT = "halt"
    END_HALT = "end_halt"
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    PLACE_IN_APP = "place_in_app"
    CANCEL_IN_APP = "cancel_in_app"
    RESOLVE = "resolve"
    LOOK = "look"


_WEIGHTS: dict[Act, int] = {
    Act.AUTOPILOT_OFF: 4,
    Act.CHANGE_STRATEGY: 10,
    Act.CHANGE_EXCHANGE: 3,
    Act.DELETE_KEY: 2,
    Act.STORE_KEY: 2,
    Act.EXECUTE: 10,
    Act.STOP: 3,
    Act.CANCEL_ONE: 6,
    Act.CANCEL_ALL: 5,
    Act.HALT: 2,
    Act.DEPOSIT: 3,
    Act.WITHDRAW: 3,
    Act.PLACE_IN_APP: 2,
    Act.CANCEL_IN_APP: 3,
    Act.RESOLVE: 3,
    Act.LOOK: 4,
}
_WITHOUT_AUTOPILOT: Mapping[Act, int] = _WEIGHTS | {Act.DELETE_KEY: 10, Act.EXECUTE: 14}
_MEANWHILE: Mapping[Act, int] = {
    Act.AUTOPILOT_OFF: 3,
    Act.CHANGE_STRATEGY: 3,
    Act.DELETE_KEY: 1,
    Act.STORE_KEY: 2,
    Act.EXECUTE: 3,
    Act.STOP: 3,
    Act.CANCEL_ONE: 4,
    Act.CANCEL_ALL: 4,
    Act.RESOLVE: 1,
    Act.LOOK: 1,
}
"""What somebody does on whose account a run works."""
_BESIDE: Mapping[Act, int] = {Act.STOP: 3, Act.EXECUTE: 1, Act.CANCEL_ONE: 1, Act.CANCEL_ALL: 1, Act.LOOK: 1}
"""What somebody does who waits for the answer to one of these:"""
_MAY_WAIT = frozenset({Act.EXECUTE, Act.CANCEL_ONE, Act.CANCEL_ALL, Act.RESOLVE, Act.LOOK})


class Owners:
    """The people of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._choices = world.choices
        self._doing: dict[str, Act] = {}
        self._acts: Mapping[Act, Callable[[User], object]] = {
            Act.AUTOPILOT_ON: lambda user: self.switch(user, enabled=True),
            Act.AUTOPILOT_OFF: lambda user: self.switch(user, enabled=False),
            Act.CHANGE_STRATEGY: self.change_strategy,
            Act.CHANGE_EXCHANGE: self.change_exchange,
            Act.DELETE_KEY: self.delete_key,
            Act.STORE_KEY: self.store_key,
            Act.EXECUTE: self.execute,
            Act.STOP: self.stop,
            Act.CANCEL_ONE: self.cancel_one,
            Act.CANCEL_ALL: self.cancel_all,
            Act.HALT: self.halt_for_a_while,
            Act.DEPOSIT: self.deposit,
            Act.WITHDRAW: self.withdraw,
            Act.PLACE_IN_APP: self.place_in_app,
            Act.CANCEL_IN_APP: self.cancel_in_app,
            Act.RESOLVE: self.resolve,
            Act.LOOK: self.look,
        }

    def act_at_random(self) -> None:
        """Somebody does something; whoever's autopilot is off mostly switches it on again."""
        idle = [user for user in self._world.users if not user.busy]
        if idle:
            self._act(self._choices.choose_one(idle))

    def act_meanwhile(self, user_id: str) -> None:
        """Whoever a run works on does something, also beside what they wait for already."""
        user = next((user for user in self._world.users if user.user_id == user_id), None)
        if user is None or self._choices.calm:
            return
        if not user.busy:
            self._choices.count("fault:act_meanwhile")
            self._act(user, _MEANWHILE)
        elif user.under_way == 1 and self._doing.get(user_id) in _MAY_WAIT:
            self._choices.count("fault:act_meanwhile")
            self.do(self._choose(_BESIDE, on=self._world.autopilot_is_on(user_id)), user)

    def _act(self, user: User, weights: Mapping[Act, int] = _WEIGHTS) -> None:
        on = self._world.autopilot_is_on(user.user_id)
        if not user.has_key:
            act = Act.STORE_KEY
        elif not on and self._doing[user.user_id] is Act.AUTOPILOT_OFF and self._choices.happens(0.2):
            act = Act.DELETE_KEY  # whoever leaves, and lets orders rest
        elif not on and self._choices.happens(0.6):
            act = Act.AUTOPILOT_ON
        else:
            act = self._choose(weights if on or weights is _MEANWHILE else _WITHOUT_AUTOPILOT, on=on)
        self.do(act, user)

    def _choose(self, weights: Mapping[Act, int], *, on: bool) -> Act:
        act = self._choices.choose_one([one for one, weight in weights.items() for _ in range(weight)])
        if act is Act.EXECUTE and on:  # whoever wants to trade by hand does this first
            return Act.STOP if weights is _BESIDE else Act.AUTOPILOT_OFF
        return act

    def do(self, act: Act, user: User) -> None:
        """One act of one owner."""
        self._choices.count(f"act:{act}")
        self._world.note(f"{user.user_id}: {act}")
        self._doing[user.user_id] = act
        self._acts[act](user)

    # by the API

    def open(self, user: User) -> None:
        """Come as a new user: an account on the exchange, a key, a strategy."""
        prices = {asset: self._world.market.last_price(asset + QUOTE) for asset in ASSETS}
        held = self._choices.choose_some(ASSETS, 5)
        balances = {asset: (Decimal(1200) / prices[asset]).quantize(Decimal("1e-6")) for asset in held}
        self._world.books.open_account(
            user.key.api_key, user.key.secret, balances | {QUOTE: Decimal(4000), "BNB": Decimal(2)}
        )
        self._world.witness.autopilot_off.add(user.user_id)

    def store_key(self, user: User) -> None:
        """Store the key, again or for the first time."""
        body = {"api_key": user.key.api_key, "secret": user.key.secret}
        self._world.call(user, "PUT", CREDENTIALS, body, then=lambda status, _: self._key_is(user, status, there=True))

    def delete_key(self, user: User) -> None:
        """Forget the key."""

        def then(status: int, _: Any) -> None:
            self._key_is(user, status, there=False)
            if status == 200:
                resting = [order.client_order_id for order in self._our_open_orders(user)]
                if resting:
                    what = f"{resting} rest, and the key is deleted"
                    self._world.witness.failed(Invariant.KEY_STAYS_WITH_ORDERS, self._step, user.user_id, what)
                self._world.witness.told(user.user_id, self._step, "the key is deleted")

        self._world.call(user, "DELETE", CREDENTIALS, query={"exchange": DEFAULT_EXCHANGE}, then=then)

    def _key_is(self, user: User, status: int, *, there: bool) -> None:
        if status == 200 or (status == 404 and not there):
            user.has_key = there

    def new_strategy(self, assets: Sequence[str] = ASSETS) -> dict[str, Any]:
        """A strategy that trades a lot, of some of ``assets``."""
        number = self._choices.between(12, len(assets))
        chosen = self._choices.choose_some(assets, number)
        cuts = sorted(self._choices.between(1, 99 - number) for _ in chosen)
        widths = [high - low + 1 for low, high in zip([0, *cuts], [*cuts, 99 - number], strict=True)]
        targets = dict(zip([*chosen, QUOTE], map(str, widths), strict=True))
        return {
            "target_allocations": targets,
            "order_size_pct": str(Decimal(self._choices.between(10, 20)) / 10),
            "order_step_pct": str(Decimal(self._choices.between(2, 20)) / 100),
            "min_delta_quote": str(self._choices.between(6, 20)),
            "order_max_age_s": self._choices.choose_one([0, 30, 60, 300]),
            "reprice_tolerance_pct": "0.1",
            "post_only": self._choices.happens(0.8),
        }

    def change_strategy(self, user: User) -> None:
        """Want something else."""
        self._want(user, self.new_strategy())

    def leave_gone_markets(self, user: User) -> None:
        """Want something else, of what is listed."""
        gone = self._world.exchange.delisted
        self._want(user, self.new_strategy([asset for asset in ASSETS if asset + QUOTE not in gone]))

    def _want(self, user: User, document: dict[str, Any]) -> None:

        def then(status: int, _: Any) -> None:
            if status == 200:
                user.targets, user.refusal = document["target_allocations"], None
                self._world.witness.told_of_strategy(user.user_id, self._step, "the strategy is changed")

        self._world.call(
            user, "PUT", STRATEGY, document, then=then, headers={"If-Match": "*"} if user.targets else None
        )

    def change_exchange(self, user: User) -> None:
        """Want to trade elsewhere; there is no second exchange here, so this is refused once it has been looked at."""
        self._world.call(user, "PATCH", STRATEGY, {"exchange": ANOTHER_EXCHANGE}, headers={"If-Match": "*"})

    def switch(self, user: User, *, enabled: bool) -> None:
        """Switch the autopilot."""

        def then(status: int, body: Any) -> None:
            if status == 200 and not enabled:
                self._world.witness.autopilot_off.add(user.user_id)
                self._world.witness.told_of_strategy(user.user_id, self._step, "the autopilot is off")
            user.refusal = body if status >= 400 else None
            if status == 404 and body["code"] == "exchange_key_not_found":  # it was deleted, and the answer lost
                user.has_key = False

        if enabled:  # whatever is answered, or not: it may be on from now on
            self._world.witness.autopilot_off.discard(user.user_id)
        self._world.call(user, "PUT", AUTOPILOT, {"enabled": enabled}, then=then)

    def execute(self, user: User) -> None:
        """Trade once, by hand."""

        def then(status: int, body: Any) -> None:
            if status != 200:
                return
            actions = sum(one["action"] is not None for one in body["assets"])
            told = len(body["orders"]) + len(body["not_placed"])
            if told != actions:
                what = f"{actions} actions, and what became of {told} of them is told"
                self._world.witness.failed(Invariant.EXECUTE_TELLS_ALL, self._step, user.user_id, what)

        self._world.call(user, "POST", "/api/me/strategies/rebalance/execute", then=then)

    def stop(self, user: User) -> None:
        """Stop everything."""
        asked_at = self._step

        def then(status: int, body: Any) -> None:
            if status != 200:
                return
            self._world.witness.autopilot_off.add(user.user_id)
            self._world.witness.told_of_strategy(user.user_id, self._step, "everything is stopped")
            still = {order["client_order_id"] for order in body["orders"] if order["status"] in _RESTING}
            named = still | {str(one.get("client_order_id")) for one in body.get("not_canceled", [])}
            self._require_canceled(user, named, asked_at)

        self._world.call(user, "POST", "/api/me/strategies/rebalance/stop", then=then)

    def _require_canceled(self, user: User, named: set[str], asked_at: int) -> None:
        """Nothing of ours rests after a stop, save what was named, and what was sent by hand after it was in force."""
        in_force = self._world.witness.strategy_written_since(user.user_id, asked_at)
        resting = {
            order.client_order_id
            for order in self._our_open_orders(user)
            if self._world.witness.sent_at(user.key.api_key, order.client_order_id) <= in_force
        }
        if resting - named:
            self._world.witness.failed(
                Invariant.STOP_CANCELS, self._step, user.user_id, f"{sorted(resting - named)} rest after a stop"
            )

    def cancel_one(self, user: User) -> None:
        """Cancel one of the orders that rest."""
        open_orders = self._our_open_orders(user)
        if open_orders:
            client_order_id = self._choices.choose_one(open_orders).client_order_id
            path = {"client_order_id": client_order_id}
            self._world.call(user, "DELETE", "/api/me/orders/{client_order_id}", path=path)

    def _our_open_orders(self, user: User) -> list[BookedOrder]:
        """What rests on the exchange, save what its owner placed in the exchange's own app."""
        return [
            order
            for order in self._world.books.open_orders(user.key.api_key)
            if not order.client_order_id.startswith("app-")
        ]

    def cancel_all(self, user: User) -> None:
        """Cancel whatever rests."""
        self._world.call(user, "DELETE", "/api/me/orders")

    def resolve(self, user: User) -> bool:
        """Say what became of an order that the exchange no longer knows, as its own app shows it; False without one."""
        watched = (
            parse_order(item)
            for item in read_items(self._world.database, self._world.settings.orders_table)
            if "watched_since" in item and item["user_id"]["S"] == user.user_id
        )
        lost = [order for order in watched if order.is_lost]
        if not lost:
            return False
        there = {order.client_order_id: order for order in self._world.books.orders(user.key.api_key)}
        rest = {client_order_id for client_order_id, order in there.items() if order.status.is_open}
        lost = [order for order in lost if order.client_order_id not in rest]
        for order in lost[:1]:
            booked = there.get(order.client_order_id)
            body = {"outcome": "canceled"}
            if booked is not None and booked.executed_qty:
                body = {"outcome": "filled", "filled_qty": str(booked.executed_qty), "price": str(booked.price)}
            path = {"client_order_id": order.client_order_id}
            self._world.call(user, "POST", "/api/me/orders/{client_order_id}/resolve", body, path=path)
        return bool(lost)

    def look(self, user: User) -> None:
        """Look at something."""
        resource = self._choices.choose_one(
            ["strategies/rebalance/plan", "orders", "balances", "portfolio/performance"]
        )
        self._world.call(user, "GET", f"/api/me/{resource}")

    # beside it

    def halt_for_a_while(self, _: User) -> None:
        """The operator halts trading, and ends that after a while: at once, or in the middle of the next tick."""
        if self._world.witness.halted:
            return
        if self._choices.happens(0.5):
            next_tick_ms = TICK_SECONDS * 1000 - self._world.clock.now_ms % (TICK_SECONDS * 1000)
            self._world.at(next_tick_ms + self._choices.between(500, 6_000), self._halt)
        else:
            self._halt()

    def _halt(self) -> None:
        if self._world.witness.halted or self._choices.calm:
            return
        self._world.halt()

        def end() -> None:
            if self._world.witness.halted:
                self._choices.count(f"act:{Act.END_HALT}")
                self._world.end_halt()

        self._world.at(self._choices.between(10_000, 60_000), end)

    def deposit(self, user: User) -> None:
        """Something comes into the account from outside."""
        self._transfer(user, self._choices.between(10, 400))

    def withdraw(self, user: User) -> None:
        """Something leaves the account."""
        self._transfer(user, -self._choices.between(10, 300))

    def _transfer(self, user: User, worth: int) -> None:
        asset = self._choices.choose_one([QUOTE, *ASSETS])
        price = Decimal(1) if asset == QUOTE else self._world.market.last_price(asset + QUOTE)
        amount = (Decimal(worth) / price).quantize(Decimal("1e-6"))
        account = self._world.books.account(user.key.api_key)
        if account is not None and account.free_balance(asset) + amount >= 0:
            self._world.books.transfer(user.key.api_key, asset, amount)

    def place_in_app(self, user: User) -> None:
        """Rest an order in the exchange's own app, and cancel it there after a while."""
        symbol = self._choices.choose_one(ASSETS) + QUOTE
        key = user.key.api_key
        if symbol in self._world.exchange.delisted or not self._world.exchange.place_by_hand(key, symbol, Decimal(20)):
            return

        def cancel() -> None:
            for order in self._world.books.open_orders(key):
                if order.client_order_id.startswith("app-"):
                    self._world.exchange.cancel_by_hand(key, order)

        self._world.at(self._choices.between(20_000, 120_000), cancel)

    def leave_in_app(self, user: User) -> None:
        """Rest an order in the exchange's own app, and leave it there."""
        symbol = self._choices.choose_one(ASSETS) + QUOTE
        if symbol not in self._world.exchange.delisted:
            self._world.exchange.place_by_hand(user.key.api_key, symbol, Decimal(20))

    def cancel_in_app(self, user: User) -> None:
        """Cancel one of our orders in the exchange's own app."""
        open_orders = self._world.books.open_orders(user.key.api_key)
        if open_orders:
            self._world.exchange.cancel_by_hand(user.key.api_key, self._choices.choose_one(open_orders))

    @property
    def _step(self) -> int:
        return self._world.scheduler.steps


class Weather:
    """What exchanges do at a moment, as far as this world's exchange has these manners."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._choices = world.choices
        self._undo: list[Callable[[], None]] = []
        self._seldom: list[FaultKind] = []
        self._cheap = ["DOGE", "XRP", "ADA", "TRX"]

    def change_at_random(self) -> None:
        """One thing happens, if the exchange has any such manner."""
        moments: Mapping[Manner, Callable[[], None]] = {
            Manner.HALTS: self.halt_market,
            Manner.DELISTS: self.delist,
            Manner.REDENOMINATES: self.redenominate,
            Manner.EARN: self.wrap,
        }
        possible = [manner for manner in moments if manner in self._world.exchange.manners]
        if possible:
            manner = self._choices.choose_one(possible)
            self._world.note(f"EXCHANGE {manner}")
            moments[manner]()

    def strike_seldom(self) -> None:
        """Let the next request that fits meet one of the faults which chance alone brings too seldom."""
        if not self._seldom:
            self._seldom = self._choices.choose_some(SELDOM, len(SELDOM))
        kind = self._seldom.pop()
        self._world.injector.script(kind, self._choices.choose_one(sorted(KINDS[kind].where - NEVER_ASKED)))

    def strike_with_lag(self) -> None:
        """Somebody's next order gets no answer, and is not there yet when it is looked up."""
        key = self._choices.choose_one(self._world.users).key.api_key
        self._world.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, of=key)
        self._world.injector.script(FaultKind.NOT_YET_SHOWN, Where.FIND_ORDER, of=key, times=2)

    def clear(self) -> None:
        """Markets trade again, and coins come back out of Earn."""
        for undo in self._undo:
            undo()
        self._undo = []

    def halt_market(self) -> None:
        """A market takes no orders for a while."""
        symbol = self._choices.choose_one(ASSETS) + QUOTE
        self._choices.count(f"manner:{Manner.HALTS}")
        self._world.market.halt(symbol)
        self._world.at(self._choices.between(20_000, 90_000), lambda: self._world.market.resume(symbol))
        self._undo.append(lambda: self._world.market.resume(symbol))

    def delist(self) -> None:
        """A market is gone."""
        exchange = self._world.exchange
        if len(exchange.delisted) < MOST_DELISTED:
            self._choices.count(f"manner:{Manner.DELISTS}")
            exchange.delist(self._choices.choose_one(ASSETS) + QUOTE)

    def redenominate(self) -> None:
        """A coin becomes ten; its price follows within two minutes."""
        if not self._cheap:  # each becomes more once: what is doubted for minutes is not to be doubted all the time
            return
        asset = self._cheap.pop(self._choices.between(0, len(self._cheap) - 1))
        symbol = asset + QUOTE
        self._choices.count(f"manner:{Manner.REDENOMINATES}")
        self._world.exchange.redenominate_balances(asset, 10)

        def price() -> None:
            if price in self._undo:
                self._undo.remove(price)
                self._world.exchange.redenominate_price(symbol, 10)

        self._undo.append(price)
        self._world.at(self._choices.between(5_000, 120_000), price)

    def wrap(self) -> None:
        """A coin of somebody's moves into Earn, or back."""
        user, asset = self._choices.choose_one(self._world.users), self._choices.choose_one(ASSETS)
        key = user.key.api_key
        if self._world.exchange.wrap(key, asset):
            self._choices.count(f"manner:{Manner.EARN}")

            def back() -> None:
                account = self._world.books.account(key)
                if account is not None and account.free_balance(f"LD{asset}"):
                    self._world.exchange.wrap(key, asset)

            self._undo.append(back)


_RESTING = {"PENDING", "OPEN", "PARTIALLY_FILLED"}
