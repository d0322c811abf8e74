"""Tells owners on one machine: the functions that are deployed, over what is written here.

The table's stream has nobody here who reads it: what was written since the last time is asked for, of those who want
to be told anything. A time is asked for twice, since what is written a moment late has an earlier one; nothing is told
twice by that.
"""

from collections.abc import Callable, Iterator, Mapping

from botbalance import bootstrap
from botbalance.models.activity import Activity
from botbalance.notifications.collect import WRITTEN_AFTER_S
from botbalance.store.dynamodb import read_pages
from botbalance.store.notifications import SETTINGS
from botbalance.store.pagination import TimeRange

from workbench.local.lambda_runtime import LambdaRuntime

_COLLECT = "notify.collect.lambda_handler"
_DUE = "notify.due.lambda_handler"
_DELIVER = "notify.deliver.lambda_handler"


class Notifier:
    """``drain`` hands what is in a queue (a URL) to a handler, until it is empty."""

    def __init__(self, runtime: LambdaRuntime, drain: Callable[[str, str], None]) -> None:
        self._runtime = runtime
        self._drain = drain
        self._told: set[str] = set()
        self._since: dict[str, int] = {}

    def run(self) -> None:
        """Tell whoever wants to be told what was written, and what is due."""
        services = bootstrap.services()
        users = self._runtime.between_invocations(lambda: list(_users()))
        if not users:
            return
        activities = self._runtime.between_invocations(lambda: [one for user in users for one in self._new(user)])
        if activities:
            self._runtime.invoke(_COLLECT, {"Records": [_record(activity) for activity in activities]})
        self._runtime.invoke(_DUE, {})
        self._drain(services.settings.delivery_queue_url, _DELIVER)

    def _new(self, user_id: str) -> Iterator[Activity]:
        """What was written of the user since the last time, and not handed on yet; oldest first."""
        services = bootstrap.services()
        now = services.clock()
        first = max(0, self._since.get(user_id, now + WRITTEN_AFTER_S) - WRITTEN_AFTER_S)
        self._since[user_id] = now
        for activity in reversed(list(services.context.activity.iter_all(user_id, TimeRange(first)))):
            if activity.activity_id not in self._told:
                self._told.add(activity.activity_id)
                yield activity


def _users() -> Iterator[str]:
    """Who has said where to be told."""
    services = bootstrap.services()
    for item in read_pages(services.dynamodb.scan, TableName=services.settings.notifications_table):
        if item["item"]["S"] == SETTINGS:
            yield item["user_id"]["S"]


def _record(activity: Activity) -> Mapping[str, object]:
    """As the table's stream has it."""
    image = {"user_id": {"S": activity.user_id}, "document": {"S": activity.model_dump_json(exclude_none=True)}}
    return {"eventName": "INSERT", "dynamodb": {"NewImage": image}}
