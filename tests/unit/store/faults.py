"""What goes wrong between a client and AWS, provoked in botocore; what is tested and the engine stay as they are."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from moto.core.models import botocore_stubber

from workbench.simulation.dynamodb import SentRequest


@contextmanager
def answers_lost(client: Any, operation: str, times: int = 1) -> Iterator[list[AWSPreparedRequest]]:
    """The first ``times`` requests of ``operation`` are carried out, and their answers time out.

    Yields the requests as they are sent, those that the client repeats by itself included.
    """
    sent: list[AWSPreparedRequest] = []

    def lose(event_name: str, request: Any, **_: Any) -> None:
        sent.append(request)
        if len(sent) <= times:
            if isinstance(request, SentRequest):
                request.carry_out()
            elif botocore_stubber(event_name, request) is None:  # not moto's: it goes to an engine
                connection.send(request)
            raise ReadTimeoutError(endpoint_url=request.url)

    with closing(URLLib3Session(timeout=10)) as connection, _hooked(client, "before-send", operation, lose):
        yield sent


@contextmanager
def meanwhile(client: Any, operation: str, happens: Callable[[], object]) -> Iterator[None]:
    """The first request of ``operation`` is on its way while ``happens`` does: everything before it has been done."""
    waiting = [happens]

    def hold_up(**_: Any) -> None:
        if waiting:
            waiting.pop()()

    with _hooked(client, "before-send", operation, hold_up):
        yield
    assert not waiting, f"no {operation} was sent"


@contextmanager
def not_reached(client: Any, operation: str) -> Iterator[None]:
    """Every request of ``operation`` times out on its way: nothing is carried out."""

    def lose(request: AWSPreparedRequest, **_: Any) -> None:
        raise ReadTimeoutError(endpoint_url=request.url)

    with _hooked(client, "before-send", operation, lose):
        yield


@contextmanager
def refused(client: Any, operation: str, code: str, **facts: Any) -> Iterator[None]:
    """Every call of ``operation`` is answered with the error ``code`` and its ``facts``: nothing is carried out.

    That is the last answer, as when the client has repeated its request in vain.
    """
    answer = AWSResponse(client.meta.endpoint_url, 400, HTTPHeaders(), None)

    def refuse(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        return answer, {"Error": {"Code": code, "Message": "provoked"}, "ResponseMetadata": {}, **facts}

    with _hooked(client, "before-call", operation, refuse):
        yield


@contextmanager
def capacity_for(client: Any, items: int) -> Iterator[list[Any]]:
    """A BatchGetItem reads ``items`` items at most and leaves the rest of its keys unprocessed; yields the requests."""
    asked: list[Any] = []

    def ask(params: Any, **_: Any) -> None:
        asked.append(json.loads(params["body"])["RequestItems"])

    def leave(parsed: Any, **_: Any) -> None:
        [(table, wanted)] = asked[-1].items()
        left = wanted["Keys"][items:]
        if left:
            parsed["Responses"][table] = [
                item
                for item in parsed["Responses"].get(table, [])
                if not any(item.items() >= key.items() for key in left)
            ]
            parsed["UnprocessedKeys"] = {table: {**wanted, "Keys": left}}

    with _hooked(client, "before-call", "BatchGetItem", ask), _hooked(client, "after-call", "BatchGetItem", leave):
        yield asked


@contextmanager
def room_for(client: Any, items: int) -> Iterator[list[int]]:
    """A BatchWriteItem writes ``items`` items at most and leaves the others unprocessed; yields how many each asked."""
    asked: list[int] = []
    left: list[Any] = []

    def take(params: Any, **_: Any) -> None:
        [(table, writes)] = params["RequestItems"].items()
        asked.append(len(writes))
        left[:] = [{table: writes[items:]}] if writes[items:] else []
        params["RequestItems"] = {table: writes[:items]}

    def leave(parsed: Any, **_: Any) -> None:
        parsed["UnprocessedItems"] = left[0] if left else {}

    with (
        _hooked(client, "before-parameter-build", "BatchWriteItem", take),
        _hooked(client, "after-call", "BatchWriteItem", leave),
    ):
        yield asked


@contextmanager
def reads_watched(client: Any, operation: str) -> Iterator[list[bool]]:
    """Yields of each request of ``operation`` whether it reads what was written last."""
    consistent: list[bool] = []

    def watch(params: Any, **_: Any) -> None:
        consistent.append(params.get("ConsistentRead", False))

    with _hooked(client, "before-parameter-build", operation, watch):
        yield consistent


@contextmanager
def _hooked(client: Any, moment: str, operation: str, handler: Any) -> Iterator[None]:
    event = f"{moment}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)
