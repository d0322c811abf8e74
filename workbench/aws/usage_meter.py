"""Counts what clients ask of AWS, in the units that AWS charges: DynamoDB's by its published rules of item sizes.

A read unit is 4 KB read consistently, half a one otherwise; a write unit is 1 KB, of the larger of the item before and
after; a transaction counts twice; an entry of an index that changes is written as well. Sizes are names and values.
"""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from threading import Lock
from typing import Any

from workbench.aws.template import Template

READ_BLOCK = 4096
WRITE_BLOCK = 1024
HALF = Decimal("0.5")


class UsageMeter:
    """Of any number of clients: ``used`` has read_units, write_units, and requests by service and operation.

    ``template`` tells which indexes the tables have; ``tables`` maps its logical ids to their names.
    """

    def __init__(self, template: Template, tables: Mapping[str, str], read_item: Callable[[str, Any], Any]) -> None:
        self.used: Counter[str] = Counter()
        self.read_units = Decimal(0)
        self.write_units = 0
        self._read_item = read_item
        self._keys: dict[str, list[str]] = {}
        self._indexes: dict[str, list[tuple[list[str], Mapping[str, Any]]]] = {}
        self._known: dict[tuple[str, str], Any] = {}
        self._lock = Lock()
        for logical_id, properties in template.resources("AWS::DynamoDB::Table").items():
            name = tables[logical_id]
            self._keys[name] = _attributes(properties["KeySchema"])
            self._indexes[name] = [
                (_attributes(index["KeySchema"]), index["Projection"])
                for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
                for index in properties.get(kind, [])
            ]

    def watch(self, client: Any) -> None:
        """Count what ``client`` asks from now on."""
        service = client.meta.service_model.service_name
        client.meta.events.register(f"provide-client-params.{service}.*", self._remember)
        client.meta.events.register(f"after-call.{service}.*", self._count)

    def reset(self) -> None:
        """From here on."""
        with self._lock:
            self.used.clear()
            self.read_units, self.write_units = Decimal(0), 0

    def _remember(self, params: Any, context: dict[str, Any], **_: Any) -> None:
        context["metered"] = params

    def _count(self, model: Any, parsed: Any, context: dict[str, Any], **_: Any) -> None:
        service, operation, params = model.service_model.service_name, model.name, context.get("metered", {})
        with self._lock:
            self.used[f"{service}.{operation}"] += 1
            if service == "dynamodb":
                getattr(self, f"_{operation}", self._unknown)(params, parsed)

    def _unknown(self, params: Any, parsed: Any) -> None:
        raise AssertionError(f"no rule for {params}")

    # reads

    def _GetItem(self, params: Any, parsed: Any) -> None:  # noqa: N802 - DynamoDB's name
        self._has_read(params["TableName"], [parsed.get("Item")], consistent=params.get("ConsistentRead", False))

    def _BatchGetItem(self, params: Any, parsed: Any) -> None:  # noqa: N802
        for table, wanted in params["RequestItems"].items():
            found = parsed.get("Responses", {}).get(table, [])
            missing = [None] * (len(wanted["Keys"]) - len(found))
            self._has_read(table, [*found, *missing], consistent=wanted.get("ConsistentRead", False))

    def _Query(self, params: Any, parsed: Any) -> None:  # noqa: N802
        if "ProjectionExpression" in params and "IndexName" not in params:
            raise AssertionError("no rule for a projection of a table: what it leaves out is billed all the same")
        size = sum(map(item_size, parsed.get("Items", [])))
        self.read_units += _blocks(size, READ_BLOCK) * (1 if params.get("ConsistentRead") else HALF)

    _Scan = _Query

    def _has_read(self, table: str, items: Sequence[Any], *, consistent: bool) -> None:
        for item in items:
            self.read_units += _blocks(item_size(item or {}), READ_BLOCK) * (1 if consistent else HALF)
            if item:
                self._known[table, self._key(table, item)] = item

    # writes

    def _PutItem(self, params: Any, parsed: Any) -> None:  # noqa: N802
        self._write(params["TableName"], params["Item"], None if _failed(parsed) else params["Item"])

    def _UpdateItem(self, params: Any, parsed: Any) -> None:  # noqa: N802
        table = params["TableName"]
        self._write(table, params["Key"], None if _failed(parsed) else self._read_item(table, params["Key"]))

    def _BatchWriteItem(self, params: Any, parsed: Any) -> None:  # noqa: N802
        for table, requests in params["RequestItems"].items():
            for request in requests:
                item = request["PutRequest"]["Item"]
                self._write(table, item, item)

    def _TransactWriteItems(self, params: Any, parsed: Any) -> None:  # noqa: N802
        for part in params["TransactItems"]:
            ((kind, wanted),) = part.items()
            item = wanted["Item"] if kind == "Put" else self._read_item(wanted["TableName"], wanted["Key"])
            self._write(wanted["TableName"], item or wanted["Key"], None if kind == "ConditionCheck" else item, times=2)

    def _write(self, table: str, primary_key: Any, item: Any, *, times: int = 1) -> None:
        """A write that leaves ``item`` (None: it left what was there); a failed condition costs what is there."""
        place = table, self._key(table, primary_key)
        before = self._known.get(place, {})
        after = before if item is None else item
        self.write_units += times * max(1, _blocks(max(item_size(before), item_size(after)), WRITE_BLOCK))
        if item is not None:
            self.write_units += times * sum(self._index_writes(table, before, item))
            self._known[place] = item

    def _index_writes(self, table: str, before: Any, after: Any) -> Iterator[int]:
        for attributes, projection in self._indexes[table]:
            old, new = (self._entry(table, item, attributes, projection) for item in (before, after))
            if old == new:
                continue
            same_place = old and new and all(old[name] == new[name] for name in attributes)
            if same_place:
                yield _blocks(max(item_size(old), item_size(new)), WRITE_BLOCK)
            else:
                yield sum(_blocks(item_size(entry), WRITE_BLOCK) for entry in (old, new) if entry)

    def _entry(self, table: str, item: Any, attributes: list[str], projection: Mapping[str, Any]) -> Any:
        if not all(name in item for name in attributes):
            return {}
        if projection["ProjectionType"] == "ALL":
            return item
        projected = {*attributes, *self._keys[table], *projection.get("NonKeyAttributes", [])}
        return {name: item[name] for name in projected & item.keys()}

    def _key(self, table: str, item: Any) -> str:
        return repr([item[name] for name in self._keys[table]])


def item_size(item: Mapping[str, Any]) -> int:
    """An item's size in bytes, as DynamoDB counts it."""
    return sum(len(name.encode()) + _size_of_value(value) for name, value in item.items())


def _size_of_value(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":  # two digits a byte, and one more
        return len(content.strip("-").replace(".", "").strip("0")) // 2 + 2
    if kind == "B":  # base64, where it is as DynamoDB sent it
        return len(content if isinstance(content, bytes) else b64decode(content))
    raise AssertionError(f"no rule for the size of {kind}")


def _blocks(size: int, block: int) -> int:
    return max(1, -(-size // block))


def _failed(parsed: Any) -> bool:
    return "Error" in parsed


def _attributes(schema: Any) -> list[str]:
    return [part["AttributeName"] for part in schema]
