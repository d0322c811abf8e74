"""What a backtest is given beside candles: the markets' rules, and what it starts with."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import typer
from botbalance.api.account_schemas import StrategyRequest
from botbalance.api.resolver import read_json
from botbalance.engine import InvalidInputError, MarketRules
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.engine.valuation import pairs_by_symbol
from botbalance.errors import BotBalanceError, InvalidRequestError
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from workbench.simulated_exchange.market import market_spec_for

ASSUMED = "assumed: grids as fine as large markets have, and a minimum notional of 5"
MOST = Decimal(10) ** 15
"""Of whatever an option says."""
_RULES = TypeAdapter(MarketRules)
_BY_SYMBOL = TypeAdapter(dict[str, MarketRules])


def pairs_by_asset(strategy: StrategyRequest) -> dict[str, str]:
    """The pairs that a strategy trades, symbol to asset, in the order of its targets."""
    return pairs_by_symbol(strategy.target_allocations, strategy.quote_asset)


def assumed_rules(strategy: StrategyRequest, prices: Mapping[str, Decimal]) -> dict[str, MarketRules]:
    """Plausible rules for every pair, from its first price: those that the simulated exchange makes up, too."""
    rules = {}
    for symbol, asset in pairs_by_asset(strategy).items():
        spec = market_spec_for(symbol, prices[symbol])
        rules[symbol] = MarketRules(
            symbol,
            asset,
            strategy.quote_asset,
            tick_size=spec.tick_size,
            lot_size=spec.lot_size,
            min_qty=spec.min_qty,
            max_qty=spec.max_qty,
            min_price=spec.min_price,
            max_price=spec.max_price,
            min_notional=spec.min_notional,
            max_notional=spec.max_notional,
        )
    return rules


def read_rules(path: Path, strategy: StrategyRequest) -> dict[str, MarketRules]:
    """The rules in a JSON file, by symbol: tick_size, lot_size, and whatever else MarketRules has.

    Raises InvalidRequestError, naming file, symbol and field, where they are not such, or a pair is left out.
    """
    document = _json_object(path, "--rules")
    rules = {}
    for symbol, asset in pairs_by_asset(strategy).items():
        given = document.get(symbol)
        if not isinstance(given, dict):
            raise InvalidRequestError(
                "rules", f"--rules is {path}: {symbol} is {given!r}, expected an object with tick_size"
            )
        named: dict[str, Any] = {"symbol": symbol, "base": asset, "quote": strategy.quote_asset, **given}
        unknown = sorted(named.keys() - MarketRules.__dataclass_fields__.keys())
        if unknown:
            raise InvalidRequestError(
                "rules", f"--rules is {path}: {symbol} has {', '.join(unknown)}, which are no rules"
            )
        try:
            rules[symbol] = _RULES.validate_python(named)
        except ValidationError as error:
            found = error.errors()[0]
            field = ".".join(map(str, (symbol, *found["loc"])))
            raise InvalidRequestError("rules", f"--rules is {path}: {field}: {found['msg']}") from None
        except InvalidInputError as error:
            raise InvalidRequestError("rules", f"--rules is {path}: {error}") from None
    return rules


def fetched_rules(
    exchange: str, strategy: StrategyRequest, *, folder: Path | None = None, base_url: str | None = None
) -> dict[str, MarketRules]:
    """The rules as ``exchange`` states them, asked for once and then kept in ``folder``, a file an exchange.

    Deleting the file lets them be asked for again. Raises InvalidRequestError for pairs that it does not list.
    """
    kept_in = (folder or Path(typer.get_app_dir("botbalance")) / "market-rules") / f"{exchange}.json"
    kept = _BY_SYMBOL.validate_json(kept_in.read_bytes()) if kept_in.exists() else {}
    symbols = list(pairs_by_asset(strategy))
    missing = [symbol for symbol in symbols if symbol not in kept]
    if missing:
        # Imported late: ccxt takes a while, and no other source of rules needs it.
        from botbalance.exchange.ccxt_adapter import CcxtAdapter  # noqa: PLC0415

        adapter = CcxtAdapter(exchange, base_url=base_url)
        try:
            listings = adapter.market_listings(missing)
        finally:
            adapter.close()
        kept |= {symbol: listing.rules for symbol, listing in listings.items()}
        kept_in.parent.mkdir(parents=True, exist_ok=True)
        kept_in.write_bytes(to_json(kept, indent=1))
    unknown = [symbol for symbol in symbols if symbol not in kept]
    if unknown:
        raise InvalidRequestError(
            "rules", f"{', '.join(unknown)}: expected pairs that {exchange} lists as spot markets"
        )
    return {symbol: kept[symbol] for symbol in symbols}


def with_fee(rules: Mapping[str, MarketRules], fee_pct: Decimal) -> dict[str, MarketRules]:
    """The same rules, with ``fee_pct`` where a market charges buys in quote: the backtest's fee counts everywhere."""
    return {
        symbol: replace(market, quote_fee_pct=fee_pct) if market.quote_fee_pct else market
        for symbol, market in rules.items()
    }


def read_balances(path: Path, strategy: StrategyRequest) -> dict[str, Decimal]:
    """Quantities by asset in a JSON file, ``{"BTC": "0.5", "USDT": "1000"}``; raises InvalidRequestError where they
    are not."""
    document = _json_object(path, "--balances")
    balances = dict.fromkeys([*strategy.target_allocations, strategy.quote_asset], Decimal(0))
    for asset, given in document.items():
        if asset not in balances:
            expected = ", ".join(balances)
            raise InvalidRequestError(
                "balances", f"--balances is {path}: {asset} is none of the strategy's assets: {expected}"
            )
        try:
            balances[asset] = Decimal(str(given))
        except ArithmeticError:
            balances[asset] = Decimal("NaN")
        if isinstance(given, bool) or not balances[asset].is_finite() or balances[asset] < 0:
            raise InvalidRequestError("balances", f"--balances is {path}: {asset} is {given}, expected a quantity >= 0")
    return balances


def balances_at_targets(strategy: StrategyRequest, prices: Mapping[str, Decimal], worth: Decimal) -> dict[str, Decimal]:
    """A portfolio worth ``worth`` in quote that is on its targets at ``prices``, to eight decimals of each asset."""
    balances: dict[str, Decimal] = {}
    spent = Decimal(0)
    with ExactArithmetic():
        for symbol, asset in pairs_by_asset(strategy).items():
            wanted = worth * strategy.target_allocations[asset]
            units = wanted * 10**8 // (100 * prices[symbol])
            balances[asset] = units.scaleb(-8)
            spent += balances[asset] * prices[symbol]
        balances[strategy.quote_asset] = worth - spent
    return balances


def number(text: str, option: str) -> Decimal:
    """An option's number, exact; raises InvalidRequestError where it is not one from 0 to ``MOST``."""
    try:
        parsed = Decimal(text)
    except ArithmeticError:
        parsed = Decimal("NaN")
    if not parsed.is_finite() or not 0 <= parsed <= MOST:
        raise InvalidRequestError("number", f"{option} is {text!r}, expected a number from 0 to {MOST:f}")
    return parsed


def moment(text: str, option: str) -> int:
    """Epoch milliseconds of a date or time in ISO 8601, in UTC unless it says otherwise; raises InvalidRequestError."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError("moment", f"{option} is {text!r}, expected a date or time: 2018-01-31") from None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()) * 1000


def _json_object(path: Path, option: str) -> dict[str, Any]:
    try:
        document = read_json(path.read_text("utf-8-sig"))
    except OSError as error:
        wrong = str(error.strerror)
    except JSONDecodeError as error:
        wrong = f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except (BotBalanceError, ValueError):
        wrong = "it is not JSON"
    else:
        if isinstance(document, dict):
            return document
        wrong = "it is no JSON object"
    raise InvalidRequestError(option.removeprefix("--"), f"{option} is {path}: {wrong}")
