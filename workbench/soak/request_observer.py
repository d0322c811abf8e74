"""Remembers what the simulated exchange truthfully said, and what it had to refuse in earnest."""

import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from workbench.audit.soak_audit import Holdings
from workbench.faults.injector import Fault
from workbench.faults.kinds import FaultKind
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulated_exchange.matching_engine import MatchingEngine

_ORDER = "/api/v3/order"


class RequestObserver:
    """Called for every request to the exchange, in the order of their effects. ``clock`` gives epoch seconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.books: MatchingEngine | None = None
        self.requests = 0
        self.holdings: dict[str, dict[int, list[Holdings]]] = defaultdict(lambda: defaultdict(list))
        """By API key and tick, every honest answer about balances."""
        self.doubled: list[str] = []
        """Orders that were accepted on a pair which had another one of the same account resting already."""
        self.overdrawn: list[str] = []
        """Orders for which the money was really not there."""

    def __call__(self, request: Request, reply: Reply | None, fault: Fault | None) -> None:
        """Note what the exchange has told whom, and whether it was the truth."""
        self.requests += 1
        key = request.api_key
        if key is None:
            return
        honest = fault is None or fault.kind is FaultKind.LATE_FILL
        if request.path == "/api/v3/account" and honest and reply is not None and reply.status == 200:
            self.holdings[key][self._clock()].append(_holdings(json.loads(reply.text)))
        if request.method == "POST" and request.path == _ORDER:
            if honest and reply is not None and "insufficient balance" in reply.text:
                self.overdrawn.append(f"{key} {request.body}: {reply.text}")
            self._look_for_doubles(key)

    def _look_for_doubles(self, key: str) -> None:
        account = self.books.account(key) if self.books is not None else None
        if account is None:
            return
        for symbol, ids in account.open_ids.items():
            if len(ids) > 1:
                names = [account.orders[order_id].client_order_id for order_id in sorted(ids)]
                self.doubled.append(f"{key} {symbol}: {', '.join(names)} rest at once")


def _holdings(account: Any) -> Holdings:
    held = ((entry["asset"], Decimal(entry["free"]), Decimal(entry["locked"])) for entry in account["balances"])
    return frozenset((asset, free, locked) for asset, free, locked in held if free or locked)
