"""The operator table: what whoever runs this has set for all users. Only a person writes it.

It holds at most one item, ``trading_halt``. While it is there nothing is traded for anybody, and what rests is
cancelled; its attribute ``reason`` is shown to users.
"""

from typing import TYPE_CHECKING

from botbalance.store.dynamodb import read_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HALT_SETTING = "trading_halt"


class OperatorTable:
    """Settings by name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def halt_reason(self) -> str | None:
        """Why trading is halted for everybody; None where it is not.

        Raises TransientError where that cannot be read: then nothing may be traded either.
        """
        item = read_item(self._client, self._table, {"setting": {"S": HALT_SETTING}})
        return None if item is None else item.get("reason", {}).get("S", "no reason is given")
