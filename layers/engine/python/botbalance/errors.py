"""Our few exceptions, each named by what its receiver must do. Raised at the boundaries, mapped once.

The engine's own refusals (bad numbers, bad strategies, missing prices) are in ``botbalance.engine``.
"""


class BotBalanceError(Exception):
    """``code`` is stable and machine-readable; the message names the field, the value and what would be right."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidSettings(Exception):
    """The process is configured wrongly; no request can be met. The message names each variable."""


class MendRequest(BotBalanceError):
    """The request cannot be met as it is; sending it again changes nothing."""


class NotAuthenticated(BotBalanceError):
    """Nobody is named by the request's token."""


class NotThere(BotBalanceError):
    """What the request names does not exist for this user."""


class Conflict(BotBalanceError):
    """The request contradicts the state of things; change that state first."""


class VersionNeeded(BotBalanceError):
    """The request would write over something without saying which version of it was read."""


class StaleVersion(BotBalanceError):
    """The request is about a version that is no longer the stored one: read again, then decide again."""


class TryAgainLater(BotBalanceError):
    """Something that should pass by itself: an unreachable exchange, a doubtful reply, a throttled table."""


class WaitUntilAllowed(TryAgainLater):
    """The exchange limits requests; send nothing more for ``retry_after_s`` seconds."""

    def __init__(self, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class CallOwner(BotBalanceError):
    """Only the account's owner can mend this: a key that was revoked or may not trade."""
