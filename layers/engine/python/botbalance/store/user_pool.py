"""The user pool of Cognito: who may sign in."""

from typing import TYPE_CHECKING, Any

from botbalance.store.dynamodb import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_A_PAGE = 60
"""The most that Cognito tells at once."""


class UserPool:
    """The users of one pool."""

    def __init__(self, client: "CognitoIdentityProviderClient", pool_id: str) -> None:
        self._client = client
        self._pool_id = pool_id

    def enabled_users(self) -> set[str]:
        """The ids (``sub``) of all users who are not disabled. Raises TransientError where not all of them are told."""
        found = set()
        question: dict[str, Any] = {"UserPoolId": self._pool_id, "AttributesToGet": ["sub"], "Limit": _A_PAGE}
        while True:
            with translate_aws_errors("the user pool"):
                answer = self._client.list_users(**question)
            for user in answer["Users"]:
                subject = next(each["Value"] for each in user["Attributes"] if each["Name"] == "sub")
                if user["Enabled"]:
                    found.add(subject)
            if not answer.get("PaginationToken"):
                return found
            question["PaginationToken"] = answer["PaginationToken"]
