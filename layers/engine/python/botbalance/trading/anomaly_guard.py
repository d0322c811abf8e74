"""Believing a picture of the account, or not yet: nothing is traded on what has just changed beyond belief.

What each run saw is remembered with the account, and the next run compares. A price that jumped holds one tick and is
believed when it is still there in the next; holdings that vanished, or that came from nowhere, once they have stayed
so. A redenomination of which only one half is seen is not believed at all, until its owner says so.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import (
    Observation,
    appeared_balances,
    band_quote,
    jumped_symbols,
    missing_balances,
    observe,
    observed_nav,
    redenominations,
)
from botbalance.engine.anomalies import Redenominated
from botbalance.engine.arithmetic import HUNDRED, ZERO, ExactArithmetic
from botbalance.engine.valuation import pair_symbol
from botbalance.errors import TransientError
from botbalance.log import alarm
from botbalance.models.account_state import LastObservation, Ongoing
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading.incidents import report_anomalies
from botbalance.trading.session import AccountSession

ANOMALY = "doubtful_picture"

PRICES_COMPARED_S = 3_900
"""Prices seen longer ago than this say nothing about those of now; quiet ticks may lie between looks for an hour."""
CHANGE_BELIEVED_S = 300
"""For so long holdings have to stay away, or there, before that counts as a fact: their owner may have moved them."""
NEARLY_ALL_PCT = Decimal(95)
"""Of what was held: where the fee is paid on top, an order for everything spends that much less."""


def observe_account(strategy: Strategy, snapshot: Snapshot, now: int) -> LastObservation:
    """What ``snapshot`` shows at ``now`` (epoch seconds), all of it believed."""
    seen = observe(snapshot.balances, snapshot.prices, {strategy.quote_asset, *strategy.target_allocations})
    return LastObservation(seen_at=now, prices=dict(seen.prices), held=dict(seen.held))


def require_no_anomaly(
    session: AccountSession, strategy: Strategy, snapshot: Snapshot, orders: Sequence[Order], now: int
) -> None:
    """Remember what is believed of ``snapshot``; raise TransientError where it is not to be traded on."""
    last = session.state.last_observation
    if last is None:  # there is nothing to compare with
        observation = observe_account(strategy, snapshot, now)
    else:
        observation = find_anomalies(
            last,
            strategy,
            snapshot,
            spent=assets_own_orders_may_have_spent(last, orders),
            received=quantities_own_orders_may_have_brought(last, orders),
            now=now,
            price_jump_pct=session.context.price_jump_pct,
        )
    session.remember(last_observation=observation)
    report_anomalies(session, observation.anomalies, now)
    doubts = [anomaly.evidence for anomaly in observation.anomalies.values()]
    if doubts:
        alarm("doubtful_picture", "nothing is traded on a doubtful picture", user_id=strategy.user_id, doubts=doubts)
        raise TransientError(ANOMALY, "; ".join(doubts))


def remember_committed(session: AccountSession, resting: Sequence[Order], placed: Sequence[Order]) -> None:
    """Remember what the orders that rest and those just ``placed`` can move until the next look."""
    observation = session.state.last_observation
    if observation is None:
        return
    committed = movable_quantities(resting, placed, "spends")
    receivable = movable_quantities(resting, placed, "brings")
    moved = observation.model_copy(update={"committed": committed, "receivable": receivable})
    session.remember(last_observation=moved)


def find_anomalies(
    last: LastObservation,
    strategy: Strategy,
    snapshot: Snapshot,
    *,
    spent: Collection[str],
    received: Mapping[str, Decimal],
    now: int,
    price_jump_pct: Decimal,
) -> LastObservation:
    """What is believed of ``snapshot`` at ``now`` (epoch seconds), and what in it is not to be traded on.

    ``spent`` are the assets of which this system's own orders may have spent nearly everything since the last look:
    those have not vanished. ``received`` is what they may have brought, in units by asset: that has not come from
    nowhere.
    """
    seen = observe_account(strategy, snapshot, now)
    looks = (
        # What is managed only since then was not looked for before: it has not appeared.
        Observation(seen.prices, {asset: quantity for asset, quantity in seen.held.items() if asset in last.held}),
        Observation(last.prices, {asset: quantity for asset, quantity in last.held.items() if asset in seen.held}),
    )
    redenominated = redenominations(*looks, quote_asset=strategy.quote_asset, bound_pct=price_jump_pct)
    whole = {asset for asset, what in redenominated.items() if what == "both"}
    not_doubted = {*last.accepted, *whole, *(pair_symbol(asset, strategy.quote_asset) for asset in whole)}
    found = (
        _price_anomalies(last, seen, now, price_jump_pct)
        | _holding_anomalies(last, strategy, snapshot, looks, spent, received, now)
        | _half_redenominations(last, strategy, looks, redenominated, {*spent, *received, *last.committed}, now)
    )
    anomalies = {subject: anomaly for subject, anomaly in found.items() if subject not in not_doubted}
    not_believed = {asset: last.held.get(asset, ZERO) for asset in anomalies if asset in seen.held}
    return LastObservation(
        seen_at=now,
        prices=seen.prices | {symbol: last.prices[symbol] for symbol in anomalies if symbol in seen.prices},
        held=seen.held | not_believed,
        unconfirmed_prices={symbol: seen.prices[symbol] for symbol in anomalies if symbol in seen.prices},
        committed=last.committed if not_believed else {},
        receivable=last.receivable if not_believed else {},
        anomalies=anomalies,
    )


def _price_anomalies(
    last: LastObservation, seen: LastObservation, now: int, price_jump_pct: Decimal
) -> dict[str, Ongoing]:
    return {
        symbol: _anomaly(
            last,
            symbol,
            now,
            f"{symbol} jumped by more than {price_jump_pct} %, from {last.prices[symbol]} to {seen.prices[symbol]}; "
            "believed when it is still there at the next look",
        )
        for symbol in _jumped(seen.prices, last, now, price_jump_pct)
    }


def _holding_anomalies(
    last: LastObservation,
    strategy: Strategy,
    snapshot: Snapshot,
    looks: tuple[Observation, Observation],
    spent: Collection[str],
    received: Mapping[str, Decimal],
    now: int,
) -> dict[str, Ongoing]:
    seen, before = looks
    with ExactArithmetic():
        band = band_quote(strategy.config(), observed_nav(before, strategy.quote_asset))
    missing = missing_balances(
        snapshot.balances,
        before,
        quote_asset=strategy.quote_asset,
        worth_at_least=band,
        spent=spent,
    )
    appeared = appeared_balances(
        seen,
        before,
        quote_asset=strategy.quote_asset,
        worth_at_least=band,
        received=received,
    )
    changed = dict.fromkeys(missing, "vanished") | dict.fromkeys(appeared, "appeared")
    found = {
        asset: _anomaly(
            last,
            asset,
            now,
            f"holdings {what}: {before.held.get(asset, ZERO)} {asset} before, {seen.held[asset]} {asset} now, and no "
            f"order of ours explains it; believed after {CHANGE_BELIEVED_S} s",
        )
        for asset, what in changed.items()
    }
    return {asset: anomaly for asset, anomaly in found.items() if now - anomaly.since < CHANGE_BELIEVED_S}


def _half_redenominations(
    last: LastObservation,
    strategy: Strategy,
    looks: tuple[Observation, Observation],
    redenominated: Mapping[str, Redenominated],
    own_orders: Collection[str],
    now: int,
) -> dict[str, Ongoing]:
    """A quantity that has grown is believed as a deposit once it has stayed so; the others wait for their other half.

    The quantities of ``own_orders``, the assets that our own orders may have moved, prove nothing.
    """
    seen, before = looks
    found = {}
    for asset, what in redenominated.items():
        symbol = pair_symbol(asset, strategy.quote_asset)
        if what == "both" or (what == "quantity" and asset in own_orders):
            continue
        if what == "price":
            subject, was, now_is = symbol, before.prices[symbol], seen.prices[symbol]
        else:
            subject, was, now_is = asset, before.held[asset], seen.held[asset]
        evidence = f"the {what} of {asset} went from {was} to {now_is}, as in a redenomination of which the other half"
        anomaly = _anomaly(last, subject, now, f"{evidence} is not seen; believed when it is, or by its owner's word")
        deposited = what == "quantity" and now_is > was
        if not deposited or now - anomaly.since < CHANGE_BELIEVED_S:
            found[subject] = anomaly
    return found


def _anomaly(last: LastObservation, subject: str, now: int, evidence: str) -> Ongoing:
    """One that goes on keeps its beginning."""
    known = last.anomalies.get(subject)
    return Ongoing(since=now if known is None else known.since, evidence=evidence)


def quantities_own_orders_may_have_brought(last: LastObservation, orders: Iterable[Order]) -> dict[str, Decimal]:
    """What may have come from ``orders``, as they were when they were last booked, or from those of the last run; in
    units by asset."""
    of_orders = _unfilled(orders, "brings")
    return {
        asset: max(of_orders.get(asset, ZERO), last.receivable.get(asset, ZERO))
        for asset in of_orders.keys() | last.receivable.keys()
    }


def movable_quantities(
    resting: Iterable[Order], placed: Iterable[Order], what: Literal["spends", "brings"]
) -> dict[str, Decimal]:
    """What a run's orders can spend, or bring, between its look and the next one, in units by asset.

    ``resting`` as they were at the look; of those ``placed`` since, all of it counts, whatever has filled already.
    """
    return _unfilled([*resting, *(order.model_copy(update={"filled_qty": ZERO}) for order in placed)], what)


def assets_own_orders_may_have_spent(last: LastObservation, orders: Iterable[Order]) -> frozenset[str]:
    """The assets of which nearly everything may have been spent since the last look.

    By ``orders``, as they were when they were last booked, or by those that the last run was committed to. Of what they
    may have spent a part of, a rest must be there.
    """
    of_orders = _unfilled(orders, "spends")
    with ExactArithmetic():
        spent = {asset: max(of_orders.get(asset, ZERO), last.committed.get(asset, ZERO)) for asset in last.held}
        return frozenset(
            asset for asset, most in spent.items() if most and most * HUNDRED >= last.held[asset] * NEARLY_ALL_PCT
        )


def _unfilled(orders: Iterable[Order], what: Literal["spends", "brings"]) -> dict[str, Decimal]:
    """What is not filled of ``orders`` yet, in units by the asset that each of them spends, or brings."""
    unfilled: dict[str, Decimal] = defaultdict(Decimal)
    with ExactArithmetic():
        for order in orders:
            base_qty = order.base_qty - order.filled_qty
            if (order.side == "buy") is (what == "spends"):
                unfilled[order.quote] += base_qty * order.limit_price
            else:
                unfilled[order.base] += base_qty
    return dict(unfilled)


def _jumped(prices: Mapping[str, Decimal], last: LastObservation, now: int, bound_pct: Decimal) -> list[str]:
    """The symbols that jumped from the last price believed, and are not where a first doubt saw them either."""
    if now - last.seen_at > PRICES_COMPARED_S:
        return []
    jumped = jumped_symbols(prices, last.prices, bound_pct, now - last.seen_at)
    still_jumping = set(jumped_symbols(prices, last.unconfirmed_prices, bound_pct))
    return [symbol for symbol in jumped if symbol in still_jumping or symbol not in last.unconfirmed_prices]
