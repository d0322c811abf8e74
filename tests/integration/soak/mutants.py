"""A soak in which something is wrong on purpose, to see that its audit finds it.

python -m tests.integration.soak.mutants no_intent --users 20 --ticks 300 --seed 99
python -m tests.integration.soak.mutants resend --users 20 --ticks 300 --seed 99
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from botbalance.exchange.adapter import OrderRequest, OrderUnknown, SubmitResult
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

    def create(self: OrdersTable, order: Order, lease: Lease, strategy_unchanged: Any) -> bool:
        return True

    OrdersTable.create = create  # type: ignore[method-assign]


def resend_what_is_unknown() -> None:
    """Send an order again, under another id, where it is not known what became of it: what a naive client does."""
    place_order = CcxtAdapter.place_order

    def resend(self: CcxtAdapter, order: OrderRequest) -> SubmitResult:
        placement = place_order(self, order)
        if isinstance(placement, OrderUnknown) and placement.retry_after_s is None:
            return place_order(self, replace(order, client_order_id=order.client_order_id[::-1]))
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
