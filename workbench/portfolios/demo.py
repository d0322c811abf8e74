"""What a local run starts with: a strategy, a portfolio that is off its targets, and a market's first prices."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from difflib import get_close_matches
from json import JSONDecodeError
from pathlib import Path

from botbalance.api.account_schemas import StrategyRequest
from botbalance.api.resolver import read_json
from botbalance.engine import InvalidInputError, validate_strategy
from botbalance.engine.valuation import pair_symbol
from botbalance.errors import BotBalanceError, InvalidRequestError
from botbalance.models.strategy import Strategy
from pydantic import ValidationError
from pydantic_core import ErrorDetails

QUOTE = "USDT"
WORTH = Decimal(10_000)
"""What the portfolio is worth at the start, in quote."""

FIRST_PRICES = {
    asset: Decimal(price)
    for asset, price in {
        "BTC": "43250.52",
        "ETH": "2580.71",
        "SOL": "98.42",
        "BNB": "311.80",
        "XRP": "0.6142",
        "ADA": "0.5317",
        "DOGE": "0.08123",
        "LTC": "71.35",
        "AAVE": "92.10",
        "ALGO": "0.1921",
        "ATOM": "9.842",
        "AVAX": "35.61",
        "BCH": "241.30",
        "DOT": "7.215",
        "ETC": "25.43",
        "FIL": "5.612",
        "LINK": "14.87",
        "MKR": "2051.40",
        "NEAR": "3.127",
        "PAXG": "2041.50",
        "SUI": "1.243",
        "TON": "2.316",
        "TRX": "0.1082",
        "UNI": "6.431",
        "XLM": "0.1184",
    }.items()
}
"""What the simulated exchange lists, and where its random walk starts, in USDT."""

_TARGETS = {"BTC": Decimal(40), "ETH": Decimal(25), "SOL": Decimal(15), "BNB": Decimal(10), QUOTE: Decimal(10)}
_TRADING = {
    "order_size_pct": Decimal(1),
    "order_step_pct": Decimal("0.4"),
    "min_delta_quote": Decimal(50),
    "min_delta_pct": Decimal(2),
}
"""Sound: an order is worth half the band, and both grow with the portfolio."""


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


def first_prices(strategy: StrategyRequest) -> dict[str, Decimal]:
    """Symbol to first price of every asset that the simulated exchange lists against the strategy's quote asset.

    Raises InvalidRequestError where it does not list an asset of the strategy, with the names that are near.
    """
    listed = {asset: price for asset, price in FIRST_PRICES.items() if asset != strategy.quote_asset}
    for asset in strategy.target_allocations:
        if asset not in listed and asset != strategy.quote_asset:
            near = get_close_matches(asset.upper(), listed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it lists {', '.join(listed)}"
            raise InvalidRequestError(
                "unknown_market",
                f"target_allocations names {asset}, which the simulated exchange does not list: {hint}",
            )
    return {pair_symbol(asset, strategy.quote_asset): price for asset, price in listed.items()}


def read_strategy(path: Path) -> StrategyRequest:
    """The strategy in a JSON file, as PUT takes it; raises InvalidRequestError, naming the field, where it is not
    one."""
    try:
        document = read_json(path.read_text("utf-8-sig"))
        if not isinstance(document, dict):
            raise InvalidRequestError("strategy_file", "it is no JSON object")
        strategy = StrategyRequest.model_validate(document)
        config = Strategy.model_validate(strategy.model_dump() | {"user_id": "reader"}).config()
        validate_strategy(strategy.target_allocations, config)
    except OSError as error:
        wrong = str(error.strerror)
    except ValidationError as error:
        wrong = "; ".join(_wrong(found) for found in error.errors())
    except (InvalidInputError, BotBalanceError) as error:
        wrong = str(error)
    except JSONDecodeError as error:
        wrong = f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except ValueError:
        wrong = "it is not JSON: it is not in UTF-8"
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
        price = prices[pair_symbol(asset, strategy.quote_asset)]
        quantity = (WORTH * target / 100 * factor / price).quantize(Decimal("1e-8"), ROUND_DOWN)
        balances[asset] = quantity
        spent += quantity * price
    balances[strategy.quote_asset] = WORTH - spent
    return balances
