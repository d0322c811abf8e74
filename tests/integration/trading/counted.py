"""Users with ten assets each whose ticks are counted, and the meter that counts."""

from collections.abc import Mapping
from decimal import Decimal

from botbalance.models.strategy import Strategy

from tests.integration.trading.harness import TradingHarness
from workbench.aws.template import read_template
from workbench.aws.usage_meter import UsageMeter

D = Decimal
PRICES = {
    "BTC": "43250.52", "ETH": "2580.71", "SOL": "98.42", "BNB": "311.80", "XRP": "0.6142",
    "ADA": "0.5317", "DOGE": "0.08123", "LTC": "71.35", "LINK": "14.28", "DOT": "7.16",
}  # fmt: skip
TARGETS = dict.fromkeys(PRICES, D(9)) | {"USDT": D(10)}
HELD = {asset: (D(900) / D(price)).quantize(D("1e-8")) for asset, price in PRICES.items()} | {"USDT": D(1000)}


def counted_strategy(user: str, exchange: str) -> Strategy:
    """What is held is on its targets: nothing is to be traded until a price moves."""
    return Strategy(
        user_id=user,
        exchange=exchange,
        quote_asset="USDT",
        target_allocations=TARGETS,
        order_size_pct=D(1),
        order_step_pct=D("0.4"),
        min_delta_quote=D(50),
        autopilot_enabled=True,
    )


def usage_meter(harness: TradingHarness, environment: Mapping[str, str]) -> UsageMeter:
    """Counts what is asked of the harness's tables."""
    template = read_template()
    tables = {
        name: environment[f"{name.removesuffix('Table').upper()}_TABLE"]
        for name in template.resources("AWS::DynamoDB::Table")
    }
    reader = harness.services.dynamodb
    return UsageMeter(template, tables, lambda table, key: reader.get_item(TableName=table, Key=key).get("Item", {}))
