"""An exchange's own rules for a backtest: asked for once, then kept."""

from decimal import Decimal
from pathlib import Path

import pytest
from botbalance.api.account_schemas import StrategyRequest
from botbalance.errors import InvalidRequestError

from tests.integration.exchange.simulated import running_exchange
from workbench.backtest.inputs import fetched_rules
from workbench.simulated_exchange.market import FrozenPrices, Market

PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_000)}


def strategy(*assets: str) -> StrategyRequest:
    targets = dict.fromkeys(assets, Decimal(10)) | {"USDT": Decimal(100 - 10 * len(assets))}
    parameters = {"order_size_pct": Decimal(1), "order_step_pct": Decimal(1), "min_delta_quote": Decimal(10)}
    return StrategyRequest.model_validate({"target_allocations": targets} | parameters)


def test_an_exchanges_rules_are_asked_for_once_and_kept(tmp_path: Path) -> None:
    market = Market.with_default_filters(PRICES, FrozenPrices())
    with running_exchange(market) as exchange:
        first = fetched_rules("binance", strategy("BTC"), folder=tmp_path, base_url=exchange.url)
        asked = exchange.api.count("GET", "/api/v3/exchangeInfo")
        again = fetched_rules("binance", strategy("BTC"), folder=tmp_path, base_url=exchange.url)
        assert exchange.api.count("GET", "/api/v3/exchangeInfo") == asked == 1
        both = fetched_rules("binance", strategy("BTC", "ETH"), folder=tmp_path, base_url=exchange.url)
        with pytest.raises(InvalidRequestError, match="DOGEUSDT: expected pairs that binance lists"):
            fetched_rules("binance", strategy("DOGE"), folder=tmp_path, base_url=exchange.url)
    spec = market.specs["BTCUSDT"]
    assert first == again == {"BTCUSDT": both["BTCUSDT"]}
    assert (first["BTCUSDT"].tick_size, first["BTCUSDT"].min_notional) == (spec.tick_size, spec.min_notional)
    assert set(both) == {"BTCUSDT", "ETHUSDT"}
