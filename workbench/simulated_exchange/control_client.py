"""Asks the simulator's control door: what only a simulated exchange answers."""

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote

import requests
from botbalance.errors import InvalidRequestError, TransientError
from pydantic import BaseModel, ValidationError

from workbench.simulated_exchange.control_messages import (
    OUT_OF_CANDLES,
    AccountBooks,
    Listing,
    NewAccount,
    OpenedAccount,
    PairInfo,
    Problem,
    SimulationInfo,
    TickRequest,
    TimeResponse,
)
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError

_TIMEOUTS_S = (5, 300)
"""To connect, and to answer: ten thousand candles of many pairs take a while."""


class ControlClient:
    """The simulated exchange at ``url`` (``http://127.0.0.1:8788``).

    Every method raises TransientError where no such exchange answers, and InvalidRequestError for what it does not do.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Content-Type"] = "application/json"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def about(self) -> SimulationInfo:
        """Which exchange it is, how far it has come, and what a run on it shall start with."""
        return self._ask(SimulationInfo, "GET", "")

    def next_tick(self, candles: int) -> int:
        """Go on by a tick and by ``candles``, or by what is left of them; returns the tick's time in epoch seconds.

        Raises OutOfCandlesError where nothing is left of them.
        """
        return self._ask(TimeResponse, "POST", "/tick", TickRequest(candles=candles)).now

    def pairs(self) -> list[PairInfo]:
        """Every pair with its last price."""
        return self._ask(Listing, "GET", "/pairs").pairs

    def open_account(self, api_key: str, secret: str, balances: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Open an account with ``balances`` unless ``api_key`` has one; returns what it was opened with."""
        wanted = NewAccount(secret=secret, balances=dict(balances))
        return self._ask(OpenedAccount, "PUT", _account(api_key), wanted).balances

    def account_books(self, api_key: str) -> AccountBooks:
        """Everything that is booked of an account."""
        return self._ask(AccountBooks, "GET", _account(api_key))

    def _ask[M: BaseModel](self, kind: type[M], method: str, path: str, body: BaseModel | None = None) -> M:
        data = None if body is None else body.model_dump_json()
        try:
            answer = self._session.request(method, f"{self.url}/simulator{path}", data=data, timeout=_TIMEOUTS_S)
        except (requests.RequestException, ValueError):
            raise self._not_there("nothing answers") from None
        try:
            if answer.ok:
                return kind.model_validate_json(answer.content)
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            raise self._not_there(f"something else answered {answer.status_code}") from None
        if problem.code == OUT_OF_CANDLES:
            raise OutOfCandlesError(problem.detail)
        raise InvalidRequestError(problem.code, problem.detail)

    def _not_there(self, what: str) -> TransientError:
        return TransientError("exchange_unreachable", f"no simulated exchange is at {self.url}: {what}")


def _account(api_key: str) -> str:
    return f"/accounts/{quote(api_key, safe='')}"
