"""The simulator's control door: what only a simulated exchange lets anybody do. Binance has nothing of the kind.

| | |
| --- | --- |
| ``GET /simulator`` | which exchange this is, how far it has come, and what a run on it shall start with |
| ``POST /simulator/tick`` | go on by a tick, and by so many candles |
| ``GET /simulator/pairs`` | every pair with its last price |
| ``PUT /simulator/accounts/{api_key}`` | open an account; one that is there is kept |
| ``GET /simulator/accounts/{api_key}`` | all its orders, trades and balances, for an audit |
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from botbalance.errors import InvalidRequestError, NotFoundError
from pydantic import BaseModel

from workbench.local.same_origin import LOOPBACK_NAMES, require_json, require_same_origin
from workbench.simulated_exchange.control_messages import (
    OUT_OF_CANDLES,
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
from workbench.simulated_exchange.server import LOOPBACK
from workbench.simulated_exchange.simulation import Simulation

type Answer = Callable[[web.Request], Awaitable[BaseModel]]


class ControlApi:
    """Lets whoever runs ``simulation`` look into it and move it on: programs on this machine, and no web page.

    ``host`` is the address at which it is served.
    """

    def __init__(self, simulation: Simulation, host: str = LOOPBACK) -> None:
        self._simulation = simulation
        self._names = LOOPBACK_NAMES | {host}

    def routes(self) -> list[web.RouteDef]:
        """To be served beside Binance's."""
        return [
            web.get("/simulator", _answering(self._about, self._names)),
            web.post("/simulator/tick", _answering(self._tick, self._names)),
            web.get("/simulator/pairs", _answering(self._pairs, self._names)),
            web.put("/simulator/accounts/{api_key}", _answering(self._open_account, self._names)),
            web.get("/simulator/accounts/{api_key}", _answering(self._account_books, self._names)),
        ]

    async def _about(self, _: web.Request) -> SimulationInfo:
        simulation = self._simulation
        return SimulationInfo(
            id=simulation.id,
            now=simulation.clock(),
            orders=sum(len(simulation.books.orders(api_key)) for api_key in simulation.books.api_keys()),
            speed=simulation.speed,
            strategy=simulation.strategy,
            start_balances=simulation.start_balances,
        )

    async def _tick(self, request: web.Request) -> TimeResponse:
        wanted = TickRequest.model_validate_json(await request.read())
        return TimeResponse(now=self._simulation.next_tick(wanted.candles))

    async def _pairs(self, _: web.Request) -> Listing:
        market = self._simulation.market
        return Listing(
            pairs=[
                PairInfo(symbol=symbol, base=spec.base, quote=spec.quote, last_price=market.last_price(symbol))
                for symbol, spec in market.specs.items()
            ]
        )

    async def _open_account(self, request: web.Request) -> OpenedAccount:
        wanted = NewAccount.model_validate_json(await request.read())
        api_key = request.match_info["api_key"]
        return OpenedAccount(balances=self._simulation.open_account(api_key, wanted.secret, wanted.balances))

    async def _account_books(self, request: web.Request) -> BaseModel:
        return self._simulation.account_books(request.match_info["api_key"])


def _answering(answer: Answer, names: frozenset[str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that sends what ``answer`` returns, or a problem in place of what it raises."""

    async def handle(request: web.Request) -> web.Response:
        try:
            require_same_origin(request.headers, names=names)
            if request.body_exists:
                require_json(request.headers)
            return _response(HTTPStatus.OK, await answer(request))
        except InvalidRequestError as refused:
            return _response(HTTPStatus.FORBIDDEN, Problem(code=refused.code, detail=str(refused)))
        except OutOfCandlesError as ended:
            return _response(HTTPStatus.CONFLICT, Problem(code=OUT_OF_CANDLES, detail=str(ended)))
        except NotFoundError as unknown:
            return _response(HTTPStatus.NOT_FOUND, Problem(code=unknown.code, detail=str(unknown)))
        except ValueError as wrong:  # a message of another shape, or an amount that cannot be
            return _response(HTTPStatus.BAD_REQUEST, Problem(code="malformed", detail=str(wrong)))

    return handle


def _response(status: HTTPStatus, message: BaseModel) -> web.Response:
    return web.Response(status=status, text=message.model_dump_json(), content_type="application/json")
