"""The user pool of Cognito: who may sign in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botbalance.store.dynamodb import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_A_PAGE = 60
"""The most that Cognito tells at once."""


class UserPool:
    """The users of one pool, by their ids (``sub``)."""

    def __init__(self, client: "CognitoIdentityProviderClient", pool_id: str) -> None:
        self._client = client
        self._pool_id = pool_id

    def list_users(self) -> dict[str, bool]:
        """All users, and whether each of them is enabled. Raises TransientError where not all of them are told.

        Whoever is there all the time may be missing all the same where others come and go between two pages.
        """
        return dict(self._ask({}))

    def is_enabled(self, user_id: str) -> bool:
        """Whether the user is there and enabled, asked for alone. Raises TransientError where that is not told."""
        return any(enabled for _, enabled in self._ask({"Filter": f'sub = "{user_id}"'}))

    def _ask(self, which: dict[str, str]) -> Iterator[tuple[str, bool]]:
        """Page by page; one may be empty and not be the last."""
        question: dict[str, Any] = {"UserPoolId": self._pool_id, "AttributesToGet": ["sub"], "Limit": _A_PAGE, **which}
        while True:
            with translate_aws_errors("the user pool"):
                answer = self._client.list_users(**question)
            for user in answer["Users"]:
                yield next(each["Value"] for each in user["Attributes"] if each["Name"] == "sub"), user["Enabled"]
            if not answer.get("PaginationToken"):
                return
            question["PaginationToken"] = answer["PaginationToken"]
