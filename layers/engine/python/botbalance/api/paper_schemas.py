"""The shapes of paper accounts."""

from typing import Annotated

from pydantic import Field

from botbalance.api.fields import (
    Asset,
    Money,
    Number,
    PaperExchange,
    RequestModel,
    ResponseModel,
    example,
    number_schema,
)
from botbalance.engine.arithmetic import HUNDRED, ExactArithmetic
from botbalance.exchange.paper_adapter import MAX_VOLUME_FRACTION
from botbalance.exchange.profiles import DEFAULT_PAPER_EXCHANGE
from botbalance.trading.paper import OPTIMISTIC, PaperState

Quantity = Annotated[Number, number_schema("In units of the asset.", "0.5", least=0)]
Moved = Annotated[Number, number_schema("In units of the asset; below zero is a withdrawal.", "-250")]
_BALANCES = {"BTC": "0.1", "USDT": "10000"}


class PaperRequest(RequestModel):
    """What a paper account starts with; where one is open already, it starts anew."""

    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE
    balances: Annotated[
        dict[Asset, Quantity],
        Field(min_length=1, max_length=100, description="Units by asset.", examples=[_BALANCES]),
    ]


class PaperTransferRequest(RequestModel):
    """A deposit on paper, or a withdrawal."""

    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE
    asset: Asset
    quantity: Moved


class PaperBalanceView(ResponseModel):
    """What the account has of an asset; ``locked`` is tied up in resting orders."""

    model_config = example(asset="USDT", free="9500", locked="500")

    asset: str
    free: Money
    locked: Money


class PaperGapView(ResponseModel):
    """A time of which the exchange tells nothing any more, while an order rested: nothing filled in it."""

    model_config = example(symbol="BTCUSDT", since=1_700_000_040, until=1_700_003_640)

    symbol: str
    since: int
    until: int


class PaperEpochView(ResponseModel):
    """An epoch of the account that is over, and with what it ended."""

    model_config = example(
        epoch=1,
        started_at=1_700_000_010,
        ended_at=1_700_090_010,
        start_balances=_BALANCES,
        transfers={"USDT": "-250"},
        balances={"BTC": "0.12", "USDT": "9100"},
    )

    epoch: int
    started_at: int
    ended_at: int
    start_balances: dict[str, Money]
    transfers: dict[str, Money]
    balances: dict[str, Money]


class PaperView(ResponseModel):
    """A paper account as it stands.

    ``transfers`` are the deposits of this epoch less its withdrawals, ``settled_until`` is up to when what rests is
    settled (null: nothing rests), ``max_volume_pct`` how much of a minute's volume it fills at most, and ``earlier``
    its epochs that are over, oldest first.
    """

    exchange: str
    epoch: int
    started_at: int
    start_balances: dict[str, Money]
    transfers: dict[str, Money]
    balances: list[PaperBalanceView]
    open_orders: int
    settled_until: int | None
    gaps: list[PaperGapView]
    max_volume_pct: Money
    caveat: str
    earlier: list[PaperEpochView]

    @classmethod
    def of(cls, state: PaperState) -> "PaperView":
        """An account as the API shows it."""
        account = state.account
        with ExactArithmetic():
            max_volume_pct = MAX_VOLUME_FRACTION * HUNDRED
        return cls(
            exchange=account.exchange,
            epoch=account.epoch,
            started_at=account.started_at,
            start_balances=account.start_balances,
            transfers=account.transfers,
            balances=[
                PaperBalanceView(asset=asset, free=balance.free, locked=balance.locked)
                for asset, balance in sorted(account.balances.items())
            ],
            open_orders=len(account.orders),
            settled_until=min((order.settled_until for order in account.orders), default=None),
            gaps=[PaperGapView.model_validate(gap) for gap in account.gaps],
            max_volume_pct=max_volume_pct,
            caveat=OPTIMISTIC,
            earlier=[PaperEpochView.model_validate(epoch) for epoch in state.earlier],
        )
