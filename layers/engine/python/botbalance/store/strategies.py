"""The strategies table: one item a user, and the sparse, sharded index of those whose autopilot is on."""

from collections.abc import Collection, Generator
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from botbalance.errors import ConflictError, NotFoundError
from botbalance.executors import executor
from botbalance.models.strategy import Strategy
from botbalance.store.dynamodb import (
    SHARDS,
    enable_raw_items,
    parse_document,
    raw_items,
    read_item,
    read_known,
    shard_name,
    translate_aws_errors,
    try_write,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

AUTOPILOT_INDEX = "autopilot"


class AutopilotUser(NamedTuple):
    """A user whom ticks have something to do for, and the version of the strategy, both as they were a moment ago."""

    user_id: str
    strategy_version: int


class StrategiesTable:
    """Strategies by user id; ``version`` is an optimistic lock."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        enable_raw_items(client)

    def find(self, user_id: str) -> Strategy | None:
        """The user's strategy, as last written."""
        item = read_item(self._client, self._table, {"user_id": {"S": user_id}})
        return _strategy(item) if item else None

    def find_many(self, user_ids: Collection[str]) -> dict[str, Strategy]:
        """The strategies of those of ``user_ids`` who have one, by user id, as they were a moment ago.

        Whoever trades by one reads it again first. See :func:`read_known`.
        """
        keys = [{"user_id": {"S": user_id}} for user_id in dict.fromkeys(user_ids)]
        known = read_known(self._client, self._table, keys, _strategy, consistent=False)
        return {item["user_id"]["S"]: strategy for item, strategy in known}

    def unchanged_condition(self, strategy: Strategy) -> Any:
        """Return the condition, in DynamoDB's form, that ``strategy`` is still the stored one."""
        return {
            "TableName": self._table,
            "Key": {"user_id": {"S": strategy.user_id}},
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": {":read": {"N": str(strategy.version)}},
        }

    def get(self, user_id: str) -> Strategy:
        """The user's strategy; raises NotFoundError where there is none."""
        strategy = self.find(user_id)
        if strategy is None:
            raise NotFoundError("strategy_not_found", "no strategy is set; PUT one to strategies/rebalance/ first")
        return strategy

    def save(self, strategy: Strategy, *also: "TransactWriteItemTypeDef") -> Strategy:
        """Write ``strategy`` over the version it was read as (0 for a new one); returns it with its new version.

        ``also`` is written in the same transaction.

        Raises ConflictError where somebody else wrote meanwhile; a write of our own that timed out and was repeated is
        no such thing, so the strategy is read again before that is said.
        """
        saved = strategy.model_copy(update={"version": strategy.version + 1})
        item = {
            "user_id": {"S": saved.user_id},
            "version": {"N": str(saved.version)},
            "document": {"S": saved.model_dump_json()},
        }
        if saved.is_ticked:
            item["autopilot_shard"] = {"S": shard_name(saved.user_id)}
        put: Any = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(user_id) OR version = :read",
            "ExpressionAttributeValues": {":read": {"N": str(strategy.version)}},
        }
        if not try_write(
            lambda: (
                self._client.transact_write_items(TransactItems=[{"Put": put}, *also])
                if also
                else self._client.put_item(**put)
            )
        ) and saved != self.find(strategy.user_id):
            raise ConflictError("strategy_changed", "the strategy was changed meanwhile; read it again and repeat")
        return saved

    def users_to_tick(self, threads: int = 8) -> Generator[AutopilotUser]:
        """All users whose autopilot is on or who are being stopped, a page of up to 1 MB at a time, as they come.

        They are neighbours in the order of the accounts' keys, but for where a page begins.

        ``threads`` shards are read at once. At most as many pages are held, and the one that is being handed out.
        Whoever may stop before the end closes it: its threads end with it.
        """
        queries: list[dict[str, Any]] = [
            {
                "TableName": self._table,
                "IndexName": AUTOPILOT_INDEX,
                "KeyConditionExpression": "autopilot_shard = :shard",
                "ExpressionAttributeValues": {":shard": {"S": str(shard)}},
                "ProjectionExpression": "user_id, version",
            }
            for shard in range(SHARDS)
        ]
        with executor(threads) as pool:
            asked = {pool.submit(self._page, queries.pop()) for _ in range(min(threads, SHARDS))}
            while asked:
                answered = wait(asked, return_when=FIRST_COMPLETED).done.pop()
                asked.remove(answered)
                users, rest = answered.result()
                if rest is not None:
                    queries.append(rest)
                if queries:
                    asked.add(pool.submit(self._page, queries.pop()))
                yield from users

    def _page(self, query: dict[str, Any]) -> tuple[list[AutopilotUser], dict[str, Any] | None]:
        """The users of one page, and the query for the rest of the shard if there is one."""
        with translate_aws_errors(), raw_items():
            answer = self._client.query(**query)
        last = answer.get("LastEvaluatedKey")
        rest = None if last is None else query | {"ExclusiveStartKey": last}
        return [AutopilotUser(item["user_id"]["S"], int(item["version"]["N"])) for item in answer["Items"]], rest


def _strategy(item: Any) -> Strategy:
    return parse_document(Strategy, item["document"]["S"])
