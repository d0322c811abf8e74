"""Makes boto3's clients of DynamoDB and KMS fail, by botocore's own events.

botocore sees the failures as it would see them on the wire, so it repeats what it always repeats: a fault of one
attempt is absorbed by it, one of three attempts reaches the caller. Each attempt backs off in real time first, unless
:func:`no_backoff` says otherwise. botocore also stops repeating where it had to repeat too often of late, whoever's
requests these were: more than a few faults in a hundred requests make what happens to one user depend on the others.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from threading import local
from types import SimpleNamespace
from typing import Any, cast

import botocore.endpoint
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.hooks import first_non_none_response
from botocore.model import OperationModel

from workbench.faults.crash_points import CrashPoints
from workbench.faults.injector import Fault, Injector, RequestInfo
from workbench.faults.kinds import FaultKind, Where

_OPERATIONS: Mapping[str, Where] = {
    "GetItem": Where.DATABASE_READ,
    "Query": Where.DATABASE_READ,
    "PutItem": Where.DATABASE_WRITE,
    "UpdateItem": Where.DATABASE_WRITE,
    "DeleteItem": Where.DATABASE_WRITE,
    "TransactWriteItems": Where.TRANSACTION,
    "BatchGetItem": Where.BATCH_READ,
    "BatchWriteItem": Where.BATCH_WRITE,
    "Decrypt": Where.DECRYPTION,
}
_STATUS = {"KMSInternalException": 500}
_NOWHERE = "http://nowhere.invalid/"


class _Call(local):
    """The call that a thread is in."""

    fault: Fault | None = None
    attempts = 0
    is_carrying_out = False


class AwsFaults:
    """Strikes the requests of the clients that it watches with what ``injector`` decides.

    A request's subject is the user id in its key or item, or ``shard#`` and the shard in its encryption context; its
    path is ``dynamodb.PutItem``.
    ``crash_points`` gets a boundary before and after every attempt of every request.
    """

    def __init__(self, injector: Injector, crash_points: CrashPoints | None = None) -> None:
        self._injector = injector
        self._crash_points = crash_points
        self._call = _Call()

    def watch(self, client: BaseClient) -> None:
        """Let ``client`` fail from now on; to be called once, by whoever made it."""
        service, events = client.meta.service_model.service_id.hyphenize(), client.meta.events
        send = cast(Any, partial(self._before_attempt, client))
        events.register_first(f"before-parameter-build.{service}", self._before_call)
        events.register_first(f"before-send.{service}", send)
        events.register_first(f"response-received.{service}", self._after_attempt)

    def _before_call(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        self._call.fault, self._call.attempts = None, 0
        where = _OPERATIONS.get(model.name)
        if where is not None:
            path = f"{model.service_model.service_id.hyphenize()}.{model.name}"
            self._call.fault = self._injector.inject(
                RequestInfo(where, _find_subject(params), path, _find_tables(params))
            )

    def _before_attempt(
        self, client: BaseClient, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        if self._call.is_carrying_out:
            return None
        self._boundary("before", event_name)
        self._call.attempts += 1
        fault = self._call.fault
        if fault is None or self._call.attempts > fault.attempts:
            return None
        if fault.kind is FaultKind.DB_TIMEOUT_APPLIED:
            self._carry_out(client, request, event_name)
        if fault.kind in {FaultKind.DB_TIMEOUT, FaultKind.DB_TIMEOUT_APPLIED}:
            raise ReadTimeoutError(endpoint_url=request.url)
        asked = json.loads(cast(bytes, request.body))
        request.url = _NOWHERE  # nobody after us is to do it: a DynamoDB inside this process also listens here
        return _answer(fault, asked)

    def _after_attempt(self, event_name: str, **_: object) -> None:
        self._boundary("after", event_name)

    def _boundary(self, side: str, event_name: str) -> None:
        if self._crash_points is not None:
            self._crash_points.boundary(f"{side} {event_name.partition('.')[2]}")

    def _carry_out(self, client: BaseClient, request: AWSPreparedRequest, event_name: str) -> None:
        """Send ``request`` and forget the reply; a DynamoDB inside this process gets its turn first, as always."""
        self._call.is_carrying_out = True
        try:
            if first_non_none_response(client.meta.events.emit(event_name, request=request)) is None:
                cast(Any, client)._endpoint.http_session.send(request)  # its own connection: no event leads there
        finally:
            self._call.is_carrying_out = False


@contextmanager
def no_backoff() -> Iterator[None]:
    """Let botocore repeat at once instead of sleeping first, in this whole process for as long as this lasts.

    It sleeps by ``botocore.endpoint.time.sleep`` and uses nothing else of ``time`` there, so that name is replaced. One
    thread enters it, for all.
    """
    names = vars(botocore.endpoint)
    clock = names["time"]
    names["time"] = SimpleNamespace(sleep=lambda _: None)
    try:
        yield
    finally:
        names["time"] = clock


def _answer(fault: Fault, asked: Mapping[str, Any]) -> AWSResponse:
    """What the service says where it does nothing."""
    if fault.kind is FaultKind.UNPROCESSED:
        reads = "Keys" in next(iter(asked["RequestItems"].values()))
        rest: dict[str, Any] = {"UnprocessedItems": asked["RequestItems"]}
        if reads:
            rest = {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}
        return _response(200, rest)
    if fault.kind is FaultKind.TRANSACTION_CONFLICT:
        codes = ["TransactionConflict"] + ["None"] * (len(asked["TransactItems"]) - 1)
        message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
        reasons = {"CancellationReasons": [{"Code": code} for code in codes]}
        return _response(400, {"__type": "TransactionCanceledException", "Message": message} | reasons)
    return _response(_STATUS.get(fault.variant, 400), {"__type": fault.variant, "message": "Injected."})


def _response(status: int, content: Mapping[str, Any]) -> AWSResponse:
    headers = HTTPHeaders()
    headers["Content-Type"] = "application/x-amz-json-1.0"
    return AWSResponse(_NOWHERE, status, headers, _Raw(json.dumps(content)))


class _Raw(BytesIO):
    """A body as botocore reads it from a connection."""

    def __init__(self, text: str) -> None:
        super().__init__(text.encode())

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _find_subject(params: Mapping[str, Any]) -> str | None:
    """The one user whom a request is about, or the shard whose key it is; None where there is none, or several."""
    shard = params.get("EncryptionContext", {}).get("shard")
    if shard is not None:
        return f"shard#{shard}"
    asked = re.search(r"\buser_id = (:\w+)", params.get("KeyConditionExpression", ""))
    if asked:
        return str(params["ExpressionAttributeValues"][asked[1]]["S"])
    users = set(_find_values("user_id", params))
    return users.pop() if len(users) == 1 else None


def _find_tables(params: Mapping[str, Any]) -> frozenset[str]:
    return frozenset({*_find_values("TableName", params), *params.get("RequestItems", ())})


def _find_values(name: str, part: Any) -> Iterator[str]:
    """Every text by that name at any depth, also as DynamoDB types it."""
    if isinstance(part, list | tuple):
        for entry in part:
            yield from _find_values(name, entry)
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if key != name:
                yield from _find_values(name, value)
            elif isinstance(value, str):
                yield value
            elif isinstance(value, Mapping) and "S" in value:
                yield value["S"]
