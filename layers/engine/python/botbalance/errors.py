"""Our few exceptions, each named by what its receiver must do. Raised at the boundaries, mapped once.

The engine's own refusals (bad numbers, bad strategies, missing prices) are in ``botbalance.engine``.
"""

from collections.abc import Mapping
from types import MappingProxyType


class BotBalanceError(Exception):
    """``code`` is stable and machine-readable; the message names the field, the value and what would be right.

    ``members`` are further members of the problem document that is made of it.
    """

    members: Mapping[str, object] = MappingProxyType({})

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SettingsError(Exception):
    """The process is configured wrongly; no request can be met. The message names each variable."""


class InvalidRequestError(BotBalanceError):
    """The request cannot be met as it is; sending it again changes nothing."""


class UnauthenticatedError(BotBalanceError):
    """Nobody is named by the request's token."""


class NotFoundError(BotBalanceError):
    """What the request names does not exist for this user."""


class ConflictError(BotBalanceError):
    """The request contradicts the state of things; change that state first."""


class PreconditionRequiredError(BotBalanceError):
    """The request would write over something without saying which version of it was read."""


class PreconditionFailedError(BotBalanceError):
    """The request is about a version that is no longer the stored one: read again, then decide again."""


class TransientError(BotBalanceError):
    """Something that should pass by itself: an unreachable exchange, a doubtful reply, a throttled table."""


class RateLimitedError(TransientError):
    """The exchange limits requests; send nothing more for ``retry_after_s`` seconds."""

    def __init__(self, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class CredentialsRejectedError(BotBalanceError):
    """Only the account's owner can mend this: a key that was revoked or may not trade."""
