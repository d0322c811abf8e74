"""A soak in which something is wrong on purpose, to see that its audit finds it.

python -m tests.integration.soak.mutants no_intent --users 20 --ticks 300 --seed 99
python -m tests.integration.soak.mutants resend --users 20 --ticks 300 --seed 99
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from botbalance.engine import Side
from botbalance.exchange.adapter import OrderUnknown, SubmitResult
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.models.order import Order
from botbalance.store.accounts import Lease
from botbalance.store.orders import OrdersTable

from workbench.soak.run import Options, Soak, faults_named


class Mutant(StrEnum):
    """What is wrong."""

    NO_INTENT = "no_intent"
    RESEND = "resend"


def write_no_intents() -> None:
    """Send orders without writing that they are about to be sent."""

    def create(self: OrdersTable, order: Order, lease: Lease, decided_by: Any) -> bool:
        return True

    OrdersTable.create = create  # type: ignore[method-assign]


def resend_what_is_unknown() -> None:
    """Send an order again, under another id, where it is not known what became of it: what a naive client does."""
    place_order = CcxtAdapter.place_order

    def resend(
        self: CcxtAdapter,
        symbol: str,
        side: Side,
        limit_price: Decimal,
        base_qty: Decimal,
        client_order_id: str,
        *,
        post_only: bool,
    ) -> SubmitResult:
        placement = place_order(self, symbol, side, limit_price, base_qty, client_order_id, post_only=post_only)
        if isinstance(placement, OrderUnknown) and placement.retry_after_s is None:
            again = client_order_id[::-1]
            return place_order(self, symbol, side, limit_price, base_qty, again, post_only=post_only)
        return placement

    CcxtAdapter.place_order = resend  # type: ignore[method-assign]


PREPARATIONS: dict[Mutant, Callable[[], None]] = {
    Mutant.NO_INTENT: write_no_intents,
    Mutant.RESEND: resend_what_is_unknown,
}


def main(
    mutant: Mutant,
    users: Annotated[int, typer.Option(min=1)] = 20,
    ticks: Annotated[int, typer.Option(min=1)] = 300,
    seed: int = 99,
    faults: str = "all",
) -> None:
    """Run a soak with ``mutant``; prints what its audit found."""
    options = Options(users, ticks, faults_named(faults), seed, prepare=PREPARATIONS[mutant])
    typer.echo(Soak(options).run().model_dump_json(indent=2))


if __name__ == "__main__":
    typer.run(main)
