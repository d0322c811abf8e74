"""Believing a picture of the account, or not yet: nothing is traded on what has just changed beyond belief.

What each run saw is remembered with the account, and the next run compares. A price that jumped holds one tick and is
believed when it is still there in the next; holdings that vanished are believed once they have stayed away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Look, band_quote, jumped_symbols, look_at, missing_balances, observed_nav
from botbalance.engine.arithmetic import HUNDRED, ZERO, ExactArithmetic
from botbalance.models.account_state import LastObservation
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy

PRICES_COMPARED_S = 3_900
"""Prices seen longer ago than this say nothing about those of now; quiet ticks may lie between looks for an hour."""
VANISHED_BELIEVED_S = 300
"""For so long holdings have to stay away before that counts as a fact: their owner may have moved them."""
NEARLY_ALL_PCT = Decimal(95)
"""Of what was held: where the fee is paid on top, an order for everything spends that much less."""


def observe_account(strategy: Strategy, snapshot: Snapshot, now: int) -> LastObservation:
    """What ``snapshot`` shows at ``now`` (epoch seconds), all of it believed."""
    seen = look_at(snapshot.balances, snapshot.prices, {strategy.quote_asset, *strategy.target_allocations})
    return LastObservation(seen_at=now, prices=dict(seen.prices), held=dict(seen.held))


def find_anomalies(
    last: LastObservation | None,
    strategy: Strategy,
    snapshot: Snapshot,
    spent: Collection[str],
    now: int,
    *,
    price_jump_pct: Decimal,
) -> tuple[LastObservation, list[str]]:
    """What is believed of ``snapshot`` at ``now`` (epoch seconds), and what in it is not to be traded on, in words.

    ``orders`` are this system's own, as they were when they were last booked: what they may have spent has not
    vanished.
    """
    seen = observe_account(strategy, snapshot, now)
    if last is None:
        return seen, []
    jumped = _jumped(seen.prices, last, now, price_jump_pct)
    before = Look(last.prices, {asset: quantity for asset, quantity in last.held.items() if asset in seen.held})
    with ExactArithmetic():
        band = band_quote(strategy.config(), observed_nav(before, strategy.quote_asset))
    missing = missing_balances(
        snapshot.balances,
        before,
        quote_asset=strategy.quote_asset,
        worth_at_least=band,
        spent=spent,
    )
    since = {asset: last.missing_since.get(asset, now) for asset in missing}
    not_believed = {asset: away for asset, away in since.items() if now - away < VANISHED_BELIEVED_S}
    observation = LastObservation(
        seen_at=now,
        prices=seen.prices | {symbol: last.prices[symbol] for symbol in jumped},
        held=seen.held | {asset: last.held[asset] for asset in not_believed},
        unconfirmed_prices={symbol: seen.prices[symbol] for symbol in jumped},
        missing_since=not_believed,
        committed=last.committed if not_believed else {},
    )
    doubts = []
    if jumped:
        changes = ", ".join(f"{symbol} from {last.prices[symbol]} to {seen.prices[symbol]}" for symbol in jumped)
        doubts.append(f"prices jumped by more than {price_jump_pct} %: {changes}")
    if not_believed:
        gone = ", ".join(f"{last.held[asset]} {asset}" for asset in not_believed)
        doubts.append(f"holdings vanished: {gone}; believed after {VANISHED_BELIEVED_S} s")
    return observation, doubts


def committed_quantities(resting: Iterable[Order], placed: Iterable[Order]) -> dict[str, Decimal]:
    """What a run's orders can spend between its look and the next one, in units by asset.

    ``resting`` as they were at the look; of those ``placed`` since, all of it counts, whatever has filled already.
    """
    return _to_be_spent([*resting, *(order.model_copy(update={"filled_qty": ZERO}) for order in placed)])


def assets_own_orders_may_have_spent(last: LastObservation | None, orders: Iterable[Order]) -> frozenset[str]:
    """The assets of which nearly everything may have been spent since the last look.

    By ``orders``, as they were when they were last booked, or by those that the last run was committed to. Of what they
    may have spent a part of, a rest must be there.
    """
    if last is None:  # nothing to compare with
        return frozenset()
    of_orders = _to_be_spent(orders)
    with ExactArithmetic():
        spent = {asset: max(of_orders.get(asset, ZERO), last.committed.get(asset, ZERO)) for asset in last.held}
        return frozenset(
            asset for asset, most in spent.items() if most and most * HUNDRED >= last.held[asset] * NEARLY_ALL_PCT
        )


def _to_be_spent(orders: Iterable[Order]) -> dict[str, Decimal]:
    """What is not filled of ``orders`` yet, in units by the asset that it spends."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    with ExactArithmetic():
        for order in orders:
            unfilled = order.base_qty - order.filled_qty
            if order.side == "buy":
                spent[order.quote] += unfilled * order.limit_price
            else:
                spent[order.base] += unfilled
    return dict(spent)


def _jumped(prices: Mapping[str, Decimal], last: LastObservation, now: int, bound_pct: Decimal) -> list[str]:
    """The symbols that jumped from the last price believed, and are not where a first doubt saw them either."""
    if now - last.seen_at > PRICES_COMPARED_S:
        return []
    jumped = jumped_symbols(prices, last.prices, bound_pct)
    still_jumping = set(jumped_symbols(prices, last.unconfirmed_prices, bound_pct))
    return [symbol for symbol in jumped if symbol in still_jumping or symbol not in last.unconfirmed_prices]
