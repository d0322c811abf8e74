"""The users of a soak: different portfolios, different strategies, all of them eager to trade."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any

from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.models.exchange_key import ExchangeKey

QUOTE = "USDT"
FIRST_PRICES = {
    "BTCUSDT": Decimal("43250.52"),
    "ETHUSDT": Decimal("2580.71"),
    "SOLUSDT": Decimal("98.42"),
    "XRPUSDT": Decimal("0.6142"),
    "DOGEUSDT": Decimal("0.08123"),
}
_WORTH = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class User:
    """A user with an exchange account: ``balances`` in units of each asset, ``strategy`` as PUT takes it."""

    user_id: str
    key: ExchangeKey
    balances: dict[str, Decimal]
    strategy: dict[str, Any]


def population(number: int, seed: int) -> list[User]:
    """``number`` users, the same ones for the same ``seed``."""
    return [_user(f"user-{index:05d}", Random(f"{seed}:user:{index}")) for index in range(number)]


def _user(user_id: str, random: Random) -> User:
    symbols = random.sample(sorted(FIRST_PRICES), 2)
    assets = [symbol.removesuffix(QUOTE) for symbol in symbols]
    targets = _shares([*assets, QUOTE], random)
    held = _shares([*assets, QUOTE], random)
    balances = {
        asset: (_WORTH * share / 100 / FIRST_PRICES.get(asset + QUOTE, Decimal(1))).quantize(
            Decimal("1e-8"), ROUND_DOWN
        )
        for asset, share in held.items()
    }
    strategy = {
        "exchange": DEFAULT_EXCHANGE,
        "quote_asset": QUOTE,
        "target_allocations": targets,
        "order_size_pct": Decimal(random.randint(10, 30)) / 10,
        "order_step_pct": Decimal(random.randint(10, 50)) / 100,
        "min_delta_quote": Decimal(random.randint(60, 150)),
        "order_max_age_s": random.choice([300, 600, 900]),
        "post_only": random.random() < 0.8,
    }
    return User(user_id, ExchangeKey(f"key-of-{user_id}", f"secret-of-{user_id}"), balances, strategy)


def _shares(assets: list[str], random: Random) -> dict[str, Decimal]:
    """Percentages that sum to 100, none below 10."""
    spare = 100 - 10 * len(assets)
    cuts = sorted(random.randint(0, spare) for _ in assets[1:])
    widths = [high - low for low, high in zip([0, *cuts], [*cuts, spare], strict=True)]
    return {asset: Decimal(10 + width) for asset, width in zip(assets, widths, strict=True)}
