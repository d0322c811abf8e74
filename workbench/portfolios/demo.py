"""What a local run starts with: a strategy, a portfolio that is off its targets, and a market's first prices."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

from botbalance.api.account_schemas import StrategyRequest
from botbalance.api.resolver import read_json
from botbalance.engine import InvalidInputError, require_allocations
from botbalance.errors import BotBalanceError, InvalidRequestError
from botbalance.store.strategies import Strategy
from pydantic import ValidationError
from pydantic_core import ErrorDetails

QUOTE = "USDT"
WORTH = Decimal(10_000)
"""What the portfolio is worth at the start, in quote."""

FIRST_PRICES = {
    "BTC": Decimal("43250.52"),
    "ETH": Decimal("2580.71"),
    "SOL": Decimal("98.42"),
    "BNB": Decimal("311.80"),
    "XRP": Decimal("0.6142"),
    "ADA": Decimal("0.5317"),
    "DOGE": Decimal("0.08123"),
    "LTC": Decimal("71.35"),
}
"""Where the random walk starts, in USDT; any other asset starts at 1."""

_TARGETS = {"BTC": Decimal(40), "ETH": Decimal(25), "SOL": Decimal(15), "BNB": Decimal(10), QUOTE: Decimal(10)}
_TRADING = {"order_size_pct": Decimal(2), "order_step_pct": Decimal("0.4"), "min_delta_quote": Decimal(120)}


def demo_strategy() -> StrategyRequest:
    """The strategy of a run that is given none."""
    return StrategyRequest.model_validate({"target_allocations": _TARGETS, "quote_asset": QUOTE} | _TRADING)


def equal_shares_strategy(symbols: Sequence[str]) -> StrategyRequest:
    """Equal shares of everything that there are candles for, and at least a tenth in quote."""
    assets = [symbol.removesuffix(QUOTE) for symbol in symbols if symbol.endswith(QUOTE)]
    if not assets:
        raise InvalidRequestError("no_candles", f"--candles has {', '.join(symbols)}, expected pairs in {QUOTE}")
    share = (Decimal(90) / len(assets)).quantize(Decimal("0.1"), ROUND_DOWN)
    targets = dict.fromkeys(assets, share) | {QUOTE: 100 - share * len(assets)}
    return StrategyRequest.model_validate({"target_allocations": targets, "quote_asset": QUOTE} | _TRADING)


def read_strategy(path: Path) -> StrategyRequest:
    """The strategy in a JSON file, as PUT takes it; raises InvalidRequestError, naming the field, where it is not
    one."""
    try:
        document = read_json(path.read_text("utf-8-sig"))
        if not isinstance(document, dict):
            raise InvalidRequestError("strategy_file", "it is no JSON object")
        strategy = StrategyRequest.model_validate(document)
        require_allocations(strategy.target_allocations)
        Strategy.model_validate(strategy.model_dump() | {"user_id": "reader"}).config()
    except OSError as error:
        wrong = str(error.strerror)
    except ValidationError as error:
        wrong = "; ".join(_wrong(found) for found in error.errors())
    except (InvalidInputError, BotBalanceError) as error:
        wrong = str(error)
    except ValueError:  # neither UTF-8 nor JSON
        wrong = "it is not a JSON document"
    else:
        return strategy
    raise InvalidRequestError("strategy_file", f"--strategy is {path}: {wrong}")


def _wrong(found: ErrorDetails) -> str:
    field = ".".join(map(str, found["loc"])) or "the file"
    value = "" if found["type"] == "missing" else f" is {str(found['input'])[:60]!r}"
    return f"{field}{value}: {found['msg']}"


def off_target_balances(strategy: StrategyRequest, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Quantities worth ``WORTH`` that are off the targets: half again too much of the first asset, half of the rest.

    ``prices``: symbol to quote per base.
    """
    balances = {}
    spent = Decimal(0)
    too_much = True
    for asset, target in strategy.target_allocations.items():
        if asset == strategy.quote_asset:
            continue
        factor = Decimal("1.5") if too_much and target <= 50 else Decimal("0.5")
        too_much = False
        price = prices[asset + strategy.quote_asset]
        quantity = (WORTH * target / 100 * factor / price).quantize(Decimal("1e-8"), ROUND_DOWN)
        balances[asset] = quantity
        spent += quantity * price
    balances[strategy.quote_asset] = WORTH - spent
    return balances
