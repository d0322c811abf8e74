"""Tables in memory that behave as DynamoDB's do: conditions, transactions, indexes, pages, expiry.

As much of it as the store uses. Every operation takes and gives what a client's method does, and raises botocore's
ClientError with DynamoDB's own codes. Each is carried out whole before the next one: nothing here waits.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from workbench.simulation.expressions import (
    Condition,
    ExpressionError,
    Item,
    comparable,
    parse_condition,
    parse_projection,
    parse_update,
)

PAGE_BYTES = 1024 * 1024
"""A query or a scan reads so much at most at a time."""
LONGEST_STALE_MS = 2_000
"""What was written longer ago is seen by every read."""
LARGEST_ITEM = 400 * 1024
MOST_KEYS_READ = 100
MOST_ITEMS_WRITTEN = 25
MOST_IN_A_TRANSACTION = 100
_FAILED = "ConditionalCheckFailed"

type PrimaryKey = tuple[Any, ...]
type Write = tuple[str, PrimaryKey, Item | None]
"""A table's name, the key of an item, and what it is from now on; None where it is deleted."""


class _Index:
    """A table's items, or those of them that have the index's keys, by partition and in order."""

    def __init__(
        self, schema: Iterable[Mapping[str, str]], primary: tuple[str, ...], projected: set[str] | None
    ) -> None:
        """``projected``: the attributes it holds; None for all."""
        self.keys = tuple(
            key["AttributeName"]
            for key in sorted(schema, key=lambda key: key["KeyType"])  # HASH before RANGE
        )
        self._primary = primary
        self.projected = None if projected is None else projected | set(self.keys) | set(primary)
        self.partitions: dict[Any, list[tuple[Any, PrimaryKey]]] = {}

    def place(self, item: Item) -> tuple[Any, Any] | None:
        """The item's partition and its place in it; None where it has not all of the index's keys."""
        for name in self.keys:
            if name not in item:
                return None
        partition, *rest = [comparable(item[name]) for name in self.keys]
        return partition, tuple(rest)

    def add(self, item: Item, key: PrimaryKey) -> None:
        place = self.place(item)
        if place is not None:
            insort(self.partitions.setdefault(place[0], []), (place[1], key))

    def remove(self, item: Item, key: PrimaryKey) -> None:
        place = self.place(item)
        if place is not None:
            entries = self.partitions[place[0]]
            del entries[bisect_left(entries, (place[1], key))]
            if not entries:
                del self.partitions[place[0]]

    def start_key(self, item: Item) -> Item:
        """From where the next page goes on, after ``item``."""
        return {name: item[name] for name in dict.fromkeys((*self._primary, *self.keys))}


class Table:
    """One table with its indexes. ``before`` has of each item what it was before it was last written, and when."""

    def __init__(self, definition: Mapping[str, Any], now_ms: Callable[[], int]) -> None:
        self.main = _Index(definition["KeySchema"], (), None)
        self.main = _Index(definition["KeySchema"], self.main.keys, None)
        self.indexes = {
            index["IndexName"]: _Index(index["KeySchema"], self.main.keys, _projected(index["Projection"]))
            for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            for index in definition.get(kind, [])
        }
        self.items: dict[PrimaryKey, Item] = {}
        self.before: dict[PrimaryKey, tuple[Item | None, int]] = {}
        self._now_ms = now_ms
        self._types = {one["AttributeName"]: one["AttributeType"] for one in definition["AttributeDefinitions"]}

    def primary_key(self, item: Mapping[str, Any]) -> PrimaryKey:
        """The primary key in ``item``; raises ValidationException for one that DynamoDB refuses."""
        for name in self.main.keys:
            value, kind = item.get(name), self._types[name]
            if value is None or len(value) != 1 or kind not in value:
                raise _invalid(f"The provided key element does not match the schema: {name}")
            if not value[kind] and kind != "N":
                raise _invalid(f"One or more parameter values are not valid: the key {name} is empty")
        return tuple([comparable(item[name]) for name in self.main.keys])

    def put(self, key: PrimaryKey, item: Item | None) -> None:
        """Write ``item`` in place of what is there; None deletes that."""
        existing = self.items.pop(key, None)
        self.before[key] = existing, self._now_ms()
        indexes: Iterable[_Index] = self.indexes.values()
        if existing is None or item is None:  # one key has one place among all items
            indexes = (self.main, *indexes)
        for index in indexes:
            if existing is not None:
                index.remove(existing, key)
            if item is not None:
                index.add(item, key)
        if item is not None:
            self.items[key] = item


class Database:
    """All tables; ``now_ms`` is their clock.

    ``stale``: whether a read that need not be consistent sees what was before the last write, if that is not long ago.
    ``keep`` is handed what each request is about to write, all of it at once; what it raises is not written.
    """

    def __init__(
        self, now_ms: Callable[[], int] = lambda: 0, *, keep: Callable[[list[Write]], None] = lambda _: None
    ) -> None:
        self._now_ms = now_ms
        self._keep = keep
        self.tables: dict[str, Table] = {}
        self._one_at_a_time = Lock()
        self.stale = False

    def create_table(self, *, TableName: str, **definition: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's CreateTable."""
        if TableName in self.tables:
            raise _error("ResourceInUseException", f"Table already exists: {TableName}", "CreateTable")
        self.tables[TableName] = Table(definition, self._now_ms)
        return {"TableDescription": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    def delete_table(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's DeleteTable."""
        self._table(TableName)
        del self.tables[TableName]
        return {}

    def list_tables(self, **_: Any) -> dict[str, Any]:
        """DynamoDB's ListTables."""
        return {"TableNames": sorted(self.tables)}

    def expire(self, table: str, attribute: str, now: int) -> int:
        """Delete the items whose ``attribute`` (epoch seconds) is past; returns how many, as time to live does."""
        found = self._table(table)
        with self._one_at_a_time:
            over = [key for key, item in found.items.items() if int(item.get(attribute, {"N": now + 1})["N"]) < now]
            self._commit([(table, key, None) for key in over])
            return len(over)

    def _commit(self, writes: list[Write]) -> None:
        self._keep(writes)
        for table, key, item in writes:
            self.tables[table].put(key, item)

    # one item

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's GetItem."""
        table = self._table(TableName)
        key = table.primary_key(Key)
        item = self._seen(table, key, consistent=ConsistentRead)
        return {} if item is None else {"Item": _projection(more)(item)}

    def put_item(self, *, TableName: str, Item: Item, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's PutItem."""
        return self._write("PutItem", {"TableName": TableName, "Item": Item, **more})

    def update_item(self, *, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's UpdateItem."""
        return self._write("UpdateItem", {"TableName": TableName, "Key": Key, **more})

    def delete_item(self, *, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's DeleteItem."""
        return self._write("DeleteItem", {"TableName": TableName, "Key": Key, **more})

    def _write(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._one_at_a_time:
            table = self._table(request["TableName"])
            write = _PARTS[operation.removesuffix("Item")]
            key, existing, written, failed = write(table, request)
            if failed:
                facts: dict[str, Any] = {}
                if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and existing is not None:
                    facts["Item"] = dict(existing)
                raise _error("ConditionalCheckFailedException", "The conditional request failed", operation, **facts)
            self._commit([(request["TableName"], key, written)])
            match request.get("ReturnValues", "NONE"):
                case "ALL_NEW":
                    return {"Attributes": dict(written or {})}
                case "UPDATED_NEW":
                    item = written or {}
                    return {"Attributes": {name: item[name] for name in _updated(request) if name in item}}
                case "ALL_OLD" if existing is not None:
                    return {"Attributes": dict(existing)}
            return {}

    # many items

    def batch_get_item(self, *, RequestItems: Mapping[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's BatchGetItem."""
        if sum(len(wanted["Keys"]) for wanted in RequestItems.values()) > MOST_KEYS_READ:
            raise _invalid("Too many items requested for the BatchGetItem call")
        found: dict[str, list[Item]] = {}
        for name, wanted in RequestItems.items():
            table = self._table(name)
            keys = [table.primary_key(key) for key in wanted["Keys"]]
            if len(set(keys)) < len(keys):
                raise _invalid("Provided list of item keys contains duplicates")
            project = _projection(wanted)
            seen = [self._seen(table, key, consistent=wanted.get("ConsistentRead", False)) for key in keys]
            found[name] = [project(item) for item in seen if item is not None]
        return {"Responses": found, "UnprocessedKeys": {}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's BatchWriteItem."""
        if sum(map(len, RequestItems.values())) > MOST_ITEMS_WRITTEN:
            raise _invalid("Too many items requested for the BatchWriteItem call")
        with self._one_at_a_time:
            writes: list[Write] = []
            for name, requests in RequestItems.items():
                table = self._table(name)
                for request in requests:
                    if "PutRequest" in request:
                        item = dict(request["PutRequest"]["Item"])
                        _require_size(item)
                        writes.append((name, table.primary_key(item), item))
                    else:
                        writes.append((name, table.primary_key(request["DeleteRequest"]["Key"]), None))
            if len({(name, key) for name, key, _ in writes}) < len(writes):
                raise _invalid("Provided list of item keys contains duplicates")
            self._commit(writes)
        return {"UnprocessedItems": {}}

    def transact_write_items(self, *, TransactItems: list[Mapping[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's TransactWriteItems."""
        if not 0 < len(TransactItems) <= MOST_IN_A_TRANSACTION:
            raise _invalid("Member must have length less than or equal to 100")
        with self._one_at_a_time:
            parts = []
            for part in TransactItems:
                ((kind, request),) = part.items()
                table = self._table(request["TableName"])
                parts.append((table, request, *_PARTS[kind](table, request)))
            if len({(id(table), key) for table, _, key, *_rest in parts}) < len(parts):
                raise _invalid("Transaction request cannot include multiple operations on one item")
            if any(failed for *_rest, failed in parts):
                raise _canceled(parts)
            self._commit(
                [
                    (request["TableName"], key, written)
                    for (_, request, key, existing, written, _failed), part in zip(parts, TransactItems, strict=True)
                    if "ConditionCheck" not in part and (written is not None or existing is not None)
                ]
            )
        return {}

    # pages

    def query(self, *, TableName: str, KeyConditionExpression: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's Query."""
        table = self._table(TableName)
        index = self._index(table, more)
        condition = _parsed(KeyConditionExpression, more)
        values = more.get("ExpressionAttributeValues", {})
        partition = _partition(KeyConditionExpression, index.keys[0], more)
        entries = index.partitions.get(partition, [])
        if not more.get("ScanIndexForward", True):
            entries = entries[::-1]
        in_range = (
            entry for entry in self._after(entries, index, table, more) if condition(table.items[entry[1]], values)
        )
        return self._page(table, index, in_range, more)

    def scan(self, *, TableName: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        """DynamoDB's Scan."""
        table = self._table(TableName)
        index = self._index(table, more)
        entries = [entry for partition in sorted(index.partitions) for entry in index.partitions[partition]]
        start = more.get("ExclusiveStartKey")
        if start is not None:  # places are in order within a partition only
            after = ((index.place(start) or ("", ""))[1], table.primary_key(start))
            entries = entries[entries.index(after) + 1 :] if after in entries else []
        return self._page(table, index, iter(entries), more)

    def _index(self, table: Table, request: Mapping[str, Any]) -> _Index:
        name = request.get("IndexName")
        if name is None:
            return table.main
        if name not in table.indexes:
            raise _invalid(f"The table does not have the specified index: {name}")
        return table.indexes[name]

    def _after(
        self, entries: list[tuple[Any, PrimaryKey]], index: _Index, table: Table, request: Mapping[str, Any]
    ) -> Iterator[tuple[Any, PrimaryKey]]:
        """The entries from where a page before ended."""
        start = request.get("ExclusiveStartKey")
        if start is None:
            yield from entries
            return
        place = index.place(start)
        if place is None:
            raise _invalid("The provided starting key is invalid")
        at = (place[1], table.primary_key(start))
        if request.get("ScanIndexForward", True):
            yield from entries[bisect_right(entries, at) :]
        else:
            forwards = entries[::-1]
            yield from reversed(forwards[: bisect_left(forwards, at)])

    def _page(
        self, table: Table, index: _Index, entries: Iterator[tuple[Any, PrimaryKey]], request: Mapping[str, Any]
    ) -> dict[str, Any]:
        filtered = request.get("FilterExpression")
        passes: Condition | None = None if filtered is None else _parsed(filtered, request)
        values = request.get("ExpressionAttributeValues", {})
        project = _projection(request, index.projected)
        limit, size = request.get("Limit"), 0
        items: list[Item] = []
        for read, (_, key) in enumerate(entries, 1):
            item = table.items[key]
            size += _size(item)
            if passes is None or passes(item, values):
                items.append(project(item))
            if read == limit or size >= PAGE_BYTES:
                return {"Items": items, "Count": len(items), "LastEvaluatedKey": index.start_key(item)}
        return {"Items": items, "Count": len(items)}

    def _seen(self, table: Table, key: PrimaryKey, *, consistent: bool) -> Item | None:
        if self.stale and not consistent and key in table.before:
            before, written_at = table.before[key]
            if self._now_ms() - written_at < LONGEST_STALE_MS:
                return before
        return table.items.get(key)

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise _error("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found", "Table")
        return self.tables[name]


# the parts of a transaction, each also an operation of its own: key, what is there, what will be, whether it may not

type _Outcome = tuple[PrimaryKey, Item | None, Item | None, bool]


def _put(table: Table, request: Mapping[str, Any]) -> _Outcome:
    item = dict(request["Item"])
    _require_size(item)
    key = table.primary_key(item)
    existing = table.items.get(key)
    return key, existing, item, not _holds(existing, request)


def _update(table: Table, request: Mapping[str, Any]) -> _Outcome:
    key = table.primary_key(request["Key"])
    existing = table.items.get(key)
    if not _holds(existing, request):
        return key, existing, existing, True
    item = dict(existing if existing is not None else request["Key"])
    if "UpdateExpression" in request:
        update = _understood(parse_update, request["UpdateExpression"], request)
        item = update.apply(item, request.get("ExpressionAttributeValues", {}))
    _require_size(item)
    return key, existing, item, False


def _delete(table: Table, request: Mapping[str, Any]) -> _Outcome:
    key = table.primary_key(request["Key"])
    existing = table.items.get(key)
    return key, existing, None, not _holds(existing, request)


def _check(table: Table, request: Mapping[str, Any]) -> _Outcome:
    key = table.primary_key(request["Key"])
    existing = table.items.get(key)
    return key, existing, existing, not _holds(existing, request)


_PARTS: dict[str, Callable[[Table, Mapping[str, Any]], _Outcome]] = {
    "Put": _put,
    "Update": _update,
    "Delete": _delete,
    "ConditionCheck": _check,
}


def _holds(existing: Item | None, request: Mapping[str, Any]) -> bool:
    expression = request.get("ConditionExpression")
    if expression is None:
        return True
    return _parsed(expression, request)(existing or {}, request.get("ExpressionAttributeValues", {}))


def _updated(request: Mapping[str, Any]) -> list[str]:
    """The attributes that an update writes."""
    update = _understood(parse_update, request["UpdateExpression"], request)
    return [name for name, _ in (*update.sets, *update.adds)]


def _parsed(expression: str, request: Mapping[str, Any]) -> Condition:
    return _understood(parse_condition, expression, request)


def _understood[P](parse: Callable[..., P], expression: str, request: Mapping[str, Any]) -> P:
    try:
        return parse(expression, tuple(request.get("ExpressionAttributeNames", {}).items()))
    except ExpressionError as error:
        raise _invalid(str(error)) from error


def _partition(expression: str, name: str, request: Mapping[str, Any]) -> Any:
    """The partition that a key condition names: ``user_id = :user AND …``."""
    attribute, sign, value, *_ = expression.split()
    if request.get("ExpressionAttributeNames", {}).get(attribute, attribute) != name or sign != "=":
        raise _invalid(f"Query condition missed key schema element: {name}")
    return comparable(request["ExpressionAttributeValues"][value])


def _projection(request: Mapping[str, Any], projected: set[str] | None = None) -> Callable[[Item], Item]:
    expression = request.get("ProjectionExpression")
    if expression is not None:
        names = _understood(parse_projection, expression, request)
        return lambda item: {name: item[name] for name in names if name in item}
    if projected is not None:
        return lambda item: {name: value for name, value in item.items() if name in projected}
    return dict


def _projected(projection: Mapping[str, Any]) -> set[str] | None:
    return None if projection["ProjectionType"] == "ALL" else set(projection.get("NonKeyAttributes", []))


def _size(item: Item) -> int:
    """What the item counts for, in bytes, as DynamoDB does: names and values."""
    return sum([len(name) + len(content) for name, value in item.items() for content in value.values() if content])


def _require_size(item: Item) -> None:
    if _size(item) > LARGEST_ITEM:
        raise _invalid("Item size has exceeded the maximum allowed size")


def _canceled(parts: Iterable[Any]) -> ClientError:
    reasons = []
    for _, request, _, existing, _, failed in parts:
        reason: dict[str, Any] = {"Code": _FAILED if failed else "None"}
        if failed:
            reason["Message"] = "The conditional request failed"
            if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and existing is not None:
                reason["Item"] = dict(existing)
        reasons.append(reason)
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return _error("TransactionCanceledException", message, "TransactWriteItems", CancellationReasons=reasons)


def _invalid(message: str) -> ClientError:
    return _error("ValidationException", message, "DynamoDB")


def _error(code: str, message: str, operation: str, **facts: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}, **facts}
    return ClientError(response, operation)
