"""A client of the tables in memory, for whoever expects boto3's.

Its hooks are those of botocore's that the store and its tests use, at the same moments: before a call, before it is
sent, before its answer is parsed, and after it. A request whose sending times out is sent again, as botocore would.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError

from workbench.simulation.database import Database
from workbench.simulation.expressions import as_json

ENDPOINT = "memory://dynamodb"
_OPERATIONS = {
    "get_item": "GetItem",
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "batch_get_item": "BatchGetItem",
    "batch_write_item": "BatchWriteItem",
    "transact_write_items": "TransactWriteItems",
    "query": "Query",
    "scan": "Scan",
}
_MOMENTS = ("before-parameter-build", "before-call", "before-parse", "after-call")
_EVENTS = {
    method: (operation, *(f"{moment}.dynamodb.{operation}" for moment in _MOMENTS))
    for method, operation in _OPERATIONS.items()
}
"""By method, the operation and the names of its hooks."""


class Events:
    """Hooks by event name, ``before-send.dynamodb.PutItem``."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, dict[Any, Callable[..., Any]]] = defaultdict(dict)

    def register(self, event: str, handler: Callable[..., Any], unique_id: str | None = None) -> None:
        """botocore's: have ``handler`` called at the event."""
        self._handlers[event].setdefault(unique_id or handler, handler)

    def unregister(self, event: str, handler: Callable[..., Any]) -> None:
        """botocore's: have it called no more."""
        self._handlers[event].pop(handler, None)

    def has(self, event: str) -> bool:
        """Whether anything is called at the event."""
        return bool(self._handlers.get(event))

    def emit(self, event: str, **facts: Any) -> Any:
        """What the last of the event's handlers answers that answers anything."""
        handlers = self._handlers.get(event)
        if not handlers:
            return None
        answer = None
        for handler in list(handlers.values()):
            answered = handler(event_name=event, **facts)
            answer = answer if answered is None else answered
        return answer


class SentRequest:
    """A request on its way. A handler that loses the answer carries it out by itself."""

    def __init__(self, carry_out: Callable[[], dict[str, Any]], parameters: dict[str, Any]) -> None:
        self.url = ENDPOINT
        self.body = parameters
        self._carry_out = carry_out

    def carry_out(self) -> None:
        """Carry it out; what is answered, be it an error, is lost."""
        with suppress(ClientError):
            self._carry_out()


class InMemoryDynamoDB:
    """boto3's DynamoDB client over ``database``; a request is sent ``attempts`` times before its failure is raised."""

    def __init__(self, database: Database | None = None, *, attempts: int = 1) -> None:
        self.database = database or Database()
        self._attempts = attempts
        self.meta = SimpleNamespace(
            endpoint_url=ENDPOINT,
            events=Events(),
            service_model=SimpleNamespace(service_id=SimpleNamespace(hyphenize=lambda: "dynamodb")),
        )

    def create_table(self, **definition: Any) -> dict[str, Any]:
        """DynamoDB's CreateTable."""
        return self.database.create_table(**definition)

    def delete_table(self, **table: Any) -> dict[str, Any]:
        """DynamoDB's DeleteTable."""
        return self.database.delete_table(**table)

    def list_tables(self, **wanted: Any) -> dict[str, Any]:
        """DynamoDB's ListTables."""
        return self.database.list_tables(**wanted)

    def close(self) -> None:
        """Nothing is open."""

    def get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's GetItem."""
        return self._call("get_item", request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's PutItem."""
        return self._call("put_item", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's UpdateItem."""
        return self._call("update_item", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's DeleteItem."""
        return self._call("delete_item", request)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's BatchGetItem."""
        return self._call("batch_get_item", request)

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's BatchWriteItem."""
        return self._call("batch_write_item", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's TransactWriteItems."""
        return self._call("transact_write_items", request)

    def query(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Query."""
        return self._call("query", request)

    def scan(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Scan."""
        return self._call("scan", request)

    def _call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        operation, before_build, before_call, before_parse, after_call = _EVENTS[method]
        events: Events = self.meta.events
        events.emit(before_build, params=request)
        if events.has(before_call):
            answered = events.emit(before_call, params={"url": ENDPOINT, "body": json.dumps(request, default=_base64)})
            if answered is not None:
                raise ClientError(answered[1], operation)
        answer = self._send(operation, lambda: getattr(self.database, method)(**request), request)
        if events.has(before_parse):
            answer = self._as_parsed(operation, answer)
        if events.has(after_call):
            events.emit(after_call, parsed=answer)
        return answer

    def _send(
        self, operation: str, carry_out: Callable[[], dict[str, Any]], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        for attempt in range(1, self._attempts + 1):
            try:
                self.meta.events.emit(f"before-send.dynamodb.{operation}", request=SentRequest(carry_out, parameters))
                return carry_out()
            except HTTPClientError:
                if attempt == self._attempts:
                    raise
        raise AssertionError("a client sends at least once")

    def _as_parsed(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer after the hooks that take a part of it as it was sent."""
        sent = _Response(answer)
        taken: dict[str, Any] = {}
        self.meta.events.emit(
            f"before-parse.dynamodb.{operation}",
            operation_model=SimpleNamespace(name=operation),
            response_dict=sent,
            customized_response_dict=taken,
        )
        return answer | taken


class _Response(dict[str, Any]):
    """An answer as it was sent; its body is only written out for whoever reads it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(status_code=200)
        self._answer = answer

    def __missing__(self, name: str) -> Any:
        if name != "body":
            raise KeyError(name)
        return json.dumps(self._answer, default=_base64).encode()


def _base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return as_json({"B": value})["B"]
    raise TypeError(f"{type(value).__name__} is nothing that DynamoDB sends")


def read_items(database: Database, table: str) -> Iterator[dict[str, Any]]:
    """Every item of a table, for whoever audits it."""
    yield from database.tables[table].items.values()
