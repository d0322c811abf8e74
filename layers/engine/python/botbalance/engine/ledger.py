"""The arithmetic of an account, once: what orders lock and release, and what fills move. Pure and exact.

Balances go in as they are, by asset; the ones that change come out, to be merged: ``balances |= lock(...)``. Nothing is
rounded, and no balance ever becomes negative: what would make one so is refused, and nothing has changed.
"""

from collections.abc import Mapping
from decimal import Decimal

from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.engine.errors import InvalidInputError
from botbalance.engine.fills import Fill
from botbalance.engine.valuation import Balance

type Balances = Mapping[str, Balance]
type Changes = dict[str, Balance]


class InsufficientBalanceError(InvalidInputError):
    """More was to be taken from a balance than it has. Nothing was changed."""


def lock(balances: Balances, asset: str, amount: Decimal) -> Changes:
    """Tie up ``amount`` of what is free of ``asset`` in a resting order; raises InsufficientBalanceError.

    >>> lock({"USDT": Balance(Decimal(100))}, "USDT", Decimal(30))["USDT"]
    Balance(free=Decimal('70'), locked=Decimal('30'))
    """
    with ExactArithmetic():
        return _moved(balances, {asset: (-_non_negative(amount), amount)})


def release(balances: Balances, asset: str, amount: Decimal) -> Changes:
    """Free ``amount`` of what is locked of ``asset``, as an order ends; raises InsufficientBalanceError.

    >>> release({"USDT": Balance(Decimal(70), Decimal(30))}, "USDT", Decimal(10))["USDT"]
    Balance(free=Decimal('80'), locked=Decimal('20'))
    """
    with ExactArithmetic():
        return _moved(balances, {asset: (_non_negative(amount), -amount)})


def transfer(balances: Balances, asset: str, amount: Decimal) -> Changes:
    """Deposit ``amount`` of ``asset``, or withdraw it where it is negative; raises InsufficientBalanceError.

    >>> transfer({"USDT": Balance(Decimal(70))}, "USDT", Decimal(-70))["USDT"]
    Balance(free=Decimal('0'), locked=Decimal('0'))
    """
    with ExactArithmetic():
        return _moved(balances, {asset: (amount, ZERO)})


def book_fill(balances: Balances, fill: Fill, *, unlocked: Decimal = ZERO) -> Changes:
    """What a fill moves: the asset spent, the one received, and the fee, in either of them or in a third.

    ``unlocked`` is how much of the asset spent was locked for what has filled: it pays first, and what the fill does
    not take of it is free again. Zero for an order that never rested, which pays from what is free. Raises
    InsufficientBalanceError.

    >>> fill = Fill("BTC", "USDT", "buy", Decimal(40000), Decimal("0.001"), Decimal("0.000001"), "BTC")
    >>> after = book_fill({"USDT": Balance(ZERO, Decimal(41))}, fill, unlocked=Decimal(41))
    >>> after["USDT"].free, after["USDT"].locked, after["BTC"].free
    (Decimal('1.000'), Decimal('0'), Decimal('0.000999'))
    """
    with ExactArithmetic():
        quote_qty = fill.price * fill.base_qty
        if fill.side == "buy":
            spent, paid, received, gained = fill.quote, quote_qty, fill.base, fill.base_qty
        else:
            spent, paid, received, gained = fill.base, fill.base_qty, fill.quote, quote_qty
        moves = {spent: (unlocked - paid, -_non_negative(unlocked)), received: (gained, ZERO)}
        free, locked = moves.get(fill.fee_asset, (ZERO, ZERO))
        moves[fill.fee_asset] = (free - fill.fee, locked)
        return _moved(balances, moves)


def _moved(balances: Balances, moves: Mapping[str, tuple[Decimal, Decimal]]) -> Changes:
    """The balances after ``moves``, asset to the changes of free and locked."""
    changed = {}
    for asset, (free, locked) in moves.items():
        before = balances.get(asset, Balance())
        after = Balance(before.free + free, before.locked + locked)
        for part, left in (("free", after.free), ("locked", after.locked)):
            if left < ZERO:
                raise InsufficientBalanceError(f"balances.{asset}.{part}", left, "a balance >= 0 afterwards")
        changed[asset] = after
    return changed


def _non_negative(amount: Decimal) -> Decimal:
    if amount.is_nan() or amount < ZERO:
        raise InvalidInputError("amount", amount, "a Decimal >= 0")
    return amount
