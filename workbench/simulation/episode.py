"""An episode from beginning to end: everybody comes, a busy while, a calm one, and what must be in order then."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import BotBalanceError
from botbalance.models.decision import TICK_SECONDS
from botbalance.models.order import Order
from botbalance.store.orders import parse_order

from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulation.dynamodb import read_items
from workbench.simulation.exchange import FEE_COIN, PASSING, Manner
from workbench.simulation.invariants import Finding, Invariant, parse_decision, replay_differences
from workbench.simulation.owners import Act, Owners, Weather
from workbench.simulation.world import ASSETS, CALM, QUOTE, START, User, World

MANNERS = 9
"""Which an exchange has in an episode."""
BUSY_TICKS = 40
CALM_TICKS = 28
"""As long as holdings that have vanished are doubted, and an order that nobody has seen is looked for."""
_LAST_TICKS = 3
"""At the end of the calm, in which everybody has to decide."""
_MOVING_TICKS = 23
"""Of the calm, in which prices go to and fro; they stand still after that, so that quiet ticks come as well."""
_SWING = Decimal("0.015")
"""How far prices go in the calm, to either side of where they were when it began: far enough that something is to be
done in each tick and that orders of both sides fill, and less than is doubted or reaches what strangers let rest."""
_SAME_STATUS = {
    "NEW": "OPEN",
    "PARTIALLY_FILLED": "PARTIALLY_FILLED",
    "FILLED": "FILLED",
    "CANCELED": "CANCELED",
}


def deal_manners(seed: str) -> list[Manner]:
    """What the exchange of an episode does. The episodes of a campaign are dealt them, so that none stays away long."""
    campaign, _, number = seed.rpartition(":")
    first = MANNERS * int(number) if number.isdecimal() else 0
    rounds = range((first + MANNERS) // len(Manner) + 1)
    dealt = [one for turn in rounds for one in Random(f"{campaign} {turn}").sample(list(Manner), len(Manner))]
    return list(dict.fromkeys(dealt[first : first + MANNERS]))


class Episode:
    """One world and what happens in it; the same ``seed`` is the same history."""

    def __init__(
        self,
        seed: str,
        *,
        users: int = 8,
        busy_ticks: int = BUSY_TICKS,
        calm_after: int | None = None,
    ) -> None:
        self._seed = seed
        self.world = World(seed, users=users, calm_after=calm_after)
        self.owners = Owners(self.world)
        self.weather = Weather(self.world)
        self._busy_ticks = busy_ticks
        self._calm_decisions: Counter[str] = Counter()
        self._left_for: dict[str, str] = {}
        """By user, what they were told when they left markets that are gone."""

    def run(self) -> list[Finding]:
        """Everything; returns what was found. Stops at the first finding."""
        with self.world.entered():
            self._begin()
            self._busy()
            if not self.world.findings.found:
                self._calm()
            if not self.world.findings.found:
                self._check_the_end()
        return self.world.findings.found

    def counts(self) -> Counter[str]:
        """What happened, by kind."""
        counts = Counter(self.world.choices.counts)
        counts["orders"] = self.world.witness.intents
        trades = [trade for key in self.world.books.api_keys() for trade in self.world.books.trades(key)]
        counts["fills"] = len(trades)
        counts[f"manner:{Manner.FEES_IN_THIRD_COIN}"] = sum(trade.commission_asset == FEE_COIN for trade in trades)
        counts["steps"] = self.world.scheduler.steps
        counts["choice_points"] = self.world.choices.drawn
        counts["decisions"] = len(self.world.database.tables[self.world.settings.decisions_table].items)
        return counts

    # parts

    def _begin(self) -> None:
        """Everybody comes and switches the autopilot on; nothing fails yet."""
        world = self.world
        self._be_calm()
        manners = deal_manners(self._seed)
        if Manner.PAGES in manners:
            world.use_pages()
        for user in world.users:
            self.owners.open(user)
            for act in (Act.STORE_KEY, Act.CHANGE_STRATEGY, Act.AUTOPILOT_ON):
                self.owners.do(act, user)
                self._until_idle(user)
        world.exchange.manners = set(manners)
        world.books.fees_in_third_coin = Manner.FEES_IN_THIRD_COIN in manners
        if Manner.REFUSES_FOR_GOOD in manners:
            world.exchange.not_permitted = {
                (user.key.api_key, asset + QUOTE)
                for user in world.users[::2]
                for asset in world.choices.choose_some(ASSETS, 3)
            }
        world.note(f"the exchange's manners: {', '.join(manners)}")
        world.act_meanwhile = self.owners.act_meanwhile
        world.rates, world.injector.active = type(world.rates)(), True

    def _busy(self) -> None:
        world = self.world
        first = world.clock.seconds() // 60 * 60 + 60
        for number in range(self._busy_ticks):
            self._acts_until(first + number * TICK_SECONDS)
            if self._over():
                return
            self._switch_on_at_the_last_moment()
            self._tick(first + number * TICK_SECONDS)
        self._acts_until(first + self._busy_ticks * TICK_SECONDS)

    def _switch_on_at_the_last_moment(self) -> None:
        """Somebody may switch the autopilot on right before a tick, which may read what was before."""
        world = self.world
        off = [user for user in world.users if not user.busy and not world.autopilot_is_on(user.user_id)]
        if off and world.choices.happens(0.3):
            user = world.choices.choose_one(off)
            self.owners.do(Act.AUTOPILOT_ON, user)
            self._until_idle(user)

    def _over(self) -> bool:
        return bool(self.world.findings.found) or self.world.choices.calm

    def _acts_until(self, moment: int) -> None:
        """Time goes on until then (epoch seconds), in which people act and prices move."""
        world = self.world
        while world.clock.seconds() < moment and not self._over():
            world.run_until(min(moment * 1000, world.clock.now_ms + world.choices.between(100, 8_000)))
            if world.choices.happens(0.35):
                self.owners.act_at_random()
            if world.choices.happens(0.06):
                self.weather.change_at_random()
            if world.choices.happens(0.14):
                self.weather.strike_seldom()
            if world.choices.happens(0.02):
                self.weather.strike_with_lag()
            for asset in ASSETS:
                if world.choices.happens(0.5):
                    self._move_price(asset + QUOTE)
        world.run_until(moment * 1000)

    def _move_price(self, symbol: str) -> None:
        """There and nearly back, so that orders on both sides fill."""
        market, choices = self.world.market, self.world.choices
        if not market.is_trading(symbol) or symbol in self.world.exchange.delisted:
            return
        price = market.last_price(symbol)
        for per_mille in (choices.between(0, 5), -choices.between(0, 5), choices.between(-2, 2)):
            market.set_price(symbol, price + price * per_mille / 1000)

    def _tick(self, ts_tick: int) -> None:
        if ts_tick % 60 == 0:
            self.world.market.advance()
        self.world.dispatch(ts_tick)

    def _be_calm(self) -> None:
        self.world.rates = CALM
        self.world.injector.active = False

    def _until_idle(self, user: User) -> None:
        while user.busy:
            self.world.run_until(self.world.clock.now_ms + 500)

    def _calm(self) -> None:
        """The faults end, everybody who has nothing against it lets the autopilot go on, and ticks pass."""
        world = self.world
        self._be_calm()
        world.exchange.manners -= PASSING
        self.weather.clear()
        if world.witness.halted:
            world.end_halt()
        world.note("the calm begins")
        if Manner.UNKNOWN_STATUS in world.exchange.manners:
            for user in world.users:
                self.owners.leave_in_app(user)
        first = world.clock.seconds() // 60 * 60 + 60
        world.run_until(first * 1000)
        middles = {
            asset + QUOTE: world.market.last_price(asset + QUOTE)
            for asset in ASSETS
            if asset + QUOTE not in world.exchange.delisted
        }
        swings = {symbol: world.choices.choose_one([_SWING, -_SWING]) for symbol in middles}
        for number in range(CALM_TICKS):
            ts_tick = first + number * TICK_SECONDS
            if number < _MOVING_TICKS:
                swings = {symbol: -swing for symbol, swing in swings.items()}
                self._swing_prices(middles, swings, ts_tick)
            world.dispatch(ts_tick)
            self._put_right(number)
            world.run_until((ts_tick + TICK_SECONDS) * 1000)
            if world.findings.found:
                return
            if number >= CALM_TICKS - _LAST_TICKS:
                self._require_decisions(ts_tick)

    def _swing_prices(self, middles: Mapping[str, Decimal], swings: Mapping[str, Decimal], ts_tick: int) -> None:
        """To both sides of ``middles``, so that whatever rests near is traded through, and in the end to ``swings``."""
        market = self.world.market
        if ts_tick % 60 == 0:
            market.advance()
        for symbol, middle in middles.items():
            for swing in (_SWING, -_SWING, swings[symbol]):
                market.set_price(symbol, middle + middle * swing)

    def _put_right(self, number: int) -> None:
        """Whoever has no key, or whose autopilot is off, mends that in the first ticks of the calm."""
        for user in self.world.users:
            if user.busy or number >= CALM_TICKS - _LAST_TICKS - 2:
                continue
            if not user.has_key:
                self.owners.store_key(user)
            elif number > CALM_TICKS // 4 and self.owners.resolve(user):
                continue
            elif self._lacks_a_price_for_good(user) and self._told(user) != self._left_for.get(user.user_id):
                self._left_for[user.user_id] = self._told(user)  # which nobody says anew while the autopilot is off
                self.owners.leave_gone_markets(user)
            elif not self.world.autopilot_is_on(user.user_id):
                self.owners.switch(user, enabled=True)
            elif number >= CALM_TICKS // 2 and "owner's word" in self._last_reason(user):
                self._believe(user)

    def _believe(self, user: User) -> None:
        """Let the user say of everything that is doubted that it is so."""
        told: list[Any] = []
        self.world.call(user, "GET", "/api/me/pauses", then=lambda status, body: told.append((status, body)))
        self._until_idle(user)
        pauses = told[0][1]["pauses"] if told and told[0][0] == 200 else []
        for pause in pauses:
            path = {"pause_id": pause["pause_id"]}
            self.world.call(user, "POST", "/api/me/pauses/{pause_id}/resume", path=path)
            self._until_idle(user)

    def _lacks_a_price_for_good(self, user: User) -> bool:
        """Whether the user is told that what they hold of a market that is gone has no price: nobody ever saw one."""
        gone = self.world.exchange.delisted
        told = self._told(user) if gone else ""
        return any(f"usable price for {symbol}" in told for symbol in gone)

    def _told(self, user: User) -> str:
        """What the user was told last, by a decision and by the autopilot's switch."""
        return f"{self._last_reason(user)} {user.refusal}"

    def _last_reason(self, user: User) -> str:
        """Why the user's last tick was as it was."""
        table = self.world.database.tables[self.world.settings.decisions_table]
        entries = table.main.partitions.get(user.user_id.encode())
        decision = parse_decision(table.items[entries[-1][1]]) if entries else None
        return "" if decision is None else decision.reason or ""

    def _require_decisions(self, ts_tick: int) -> None:
        table = self.world.database.tables[self.world.settings.decisions_table]
        for user in self.world.users:
            item = table.items.get((user.user_id.encode(), Decimal(ts_tick)))
            if item is None and self.world.may_be_quiet(user.user_id):
                self._require_quiet(user, ts_tick)
                continue
            outcome = "none" if item is None else item["outcome"]["S"]
            if outcome == "decided":
                continue
            decision = None if item is None else parse_decision(item)
            why = "no decision" if decision is None else decision.reason
            self._failed(Invariant.HEALTHY_USER_DECIDES, user.user_id, f"tick {ts_tick - START:+d}: {outcome}: {why}")

    def _require_quiet(self, user: User, ts_tick: int) -> None:
        """Nothing is to be done at the prices that have stood still since before that tick."""
        told: list[Any] = []
        self.world.call(
            user, "GET", "/api/me/strategies/rebalance/plan", then=lambda status, body: told.append((status, body))
        )
        self._until_idle(user)
        actions = told[0][1].get("actions", []) if told and told[0][0] == 200 else []
        if actions:
            what = f"tick {ts_tick - START:+d} was quiet, and there is {actions[0]['symbol']} to {actions[0]['side']}"
            self._failed(Invariant.QUIET_TICK_HID_NOTHING, user.user_id, what)

    # the end

    def _check_the_end(self) -> None:
        orders: dict[str, dict[str, Order]] = {user.user_id: {} for user in self.world.users}
        for item in read_items(self.world.database, self.world.settings.orders_table):
            order = parse_order(item)
            orders[order.user_id][order.client_order_id] = order
        for user in self.world.users:
            self._check_books(user, orders[user.user_id])
            self.check_bonus(user, list(orders[user.user_id].values()))
        for item in read_items(self.world.database, self.world.settings.decisions_table):
            decision = parse_decision(item)
            if decision is not None:
                try:
                    differences = replay_differences(decision)
                except BotBalanceError as error:
                    differences = [str(error)]
                if differences:
                    self._failed(Invariant.DECISION_REPLAYS, decision.user_id, "; ".join(differences)[:300])

    def _check_books(self, user: User, ours: dict[str, Order]) -> None:
        there = {
            order.client_order_id: order
            for order in self.world.books.orders(user.key.api_key)
            if not order.client_order_id.startswith("app-")
        }
        for client_order_id, booked in there.items():
            here = ours.get(client_order_id)
            if here is None:
                self._failed(Invariant.BOOKS_EQUAL, user.user_id, f"{client_order_id} is on the exchange only")
            elif not here.is_lost:
                self._compare(user, here, booked)
        for client_order_id, here in ours.items():
            if here.is_active and not here.is_lost:
                booked_here = there.get(client_order_id)
                if booked_here is None or not booked_here.status.is_open:
                    what = f"{client_order_id} on {here.symbol} is {here.status}, and not there"
                    self._failed(Invariant.ORDER_ENDS_OR_IS_NAMED, user.user_id, what)

    def _compare(self, user: User, here: Order, booked: BookedOrder) -> None:
        status = "REJECTED" if booked.order_id in self.world.exchange.rejected else _SAME_STATUS[booked.status]
        if here.resolved_by is not None and status in {"REJECTED", "EXPIRED"}:
            status = "CANCELED"  # an owner can say of an order only what has filled of it, not why it ended
        facts: list[tuple[str, Any, Any]] = [
            ("status", status, str(here.status)),
            ("filled_qty", booked.executed_qty, here.filled_qty),
            ("price", booked.price, here.limit_price),
            ("qty", booked.qty, here.base_qty),
        ]
        trades = {
            (str(trade.trade_id), trade.price, trade.qty, trade.commission, trade.commission_asset)
            for trade in self.world.books.trades(user.key.api_key)
            if trade.order_id == booked.order_id
        }
        fills = {(fill.trade_id, fill.price, fill.base_qty, fill.fee, fill.fee_asset) for fill in here.fills}
        if here.resolved_by is None:  # its owner's word has no trades
            facts.append(("fills", trades, fills))
        for name, truth, booked_here in facts:
            if truth != booked_here:
                what = f"{here.client_order_id}: {name} is {truth} there and {booked_here} here"
                self._failed(Invariant.BOOKS_EQUAL, user.user_id, what)
                return

    def check_bonus(self, user: User, ours: list[Order]) -> None:
        """What the API says the bonus is, against the sum over the exchange's trades in plain fractions."""
        if any(order.resolved_by is not None for order in ours):
            return  # what its owner said of an order has no fee
        told: list[Any] = []
        self.world.call(
            user, "GET", "/api/me/portfolio/performance", then=lambda status, body: told.append((status, body))
        )
        self._until_idle(user)
        if not told or told[0][0] != 200 or not told[0][1].get("available", True):
            return
        prices = {QUOTE: Decimal(1), "BNB": self.world.market.last_price("BNBUSDT")}
        prices |= {asset: self.world.market.last_price(asset + QUOTE) for asset in ASSETS}
        prices |= self._last_prices_of_gone_markets(user)
        known = {order.client_order_id for order in ours}
        with ExactArithmetic():
            total = Decimal(0)
            for trade in self.world.books.trades(user.key.api_key):
                if trade.client_order_id not in known:
                    continue
                sign = 1 if trade.side == "buy" else -1
                base = trade.symbol.removesuffix(QUOTE)
                total += sign * trade.qty * (prices[base] - trade.price)
                total -= trade.commission * prices[trade.commission_asset]
            said = Decimal(told[0][1]["bonus_quote"]) if "bonus_quote" in told[0][1] else None
        if said is not None and said != total:
            self._failed(Invariant.BONUS_IS_SUM, user.user_id, f"{said} is said, the fills sum to {total}")

    def _last_prices_of_gone_markets(self, user: User) -> dict[str, Decimal]:
        """What the user's decisions have counted each asset at whose market is gone: nobody is told its price now."""
        gone = self.world.exchange.delisted
        table = self.world.database.tables[self.world.settings.decisions_table]
        prices: dict[str, Decimal] = {}
        for _, key in table.main.partitions.get(user.user_id.encode(), []) if gone else []:
            told = (parse_decision(table.items[key]).inputs or {}).get("market_prices", {})
            prices |= {symbol.removesuffix(QUOTE): Decimal(told[symbol]) for symbol in gone if symbol in told}
        return prices

    def _failed(self, invariant: Invariant, user_id: str, what: str) -> None:
        self.world.witness.failed(invariant, self.world.scheduler.steps, user_id, what)
