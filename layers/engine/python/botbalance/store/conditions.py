"""What DynamoDB and KMS answer, in our words: a lost condition is an answer, every other failure passes by itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from botbalance.errors import TransientError

STORAGE_UNAVAILABLE = "storage_unavailable"


@contextmanager
def translate_aws_errors(service: str = "the database") -> Iterator[None]:
    """Raise TransientError for whatever ``service`` does not do: throttled, timed out, unreachable, refused.

    Also a decorator. A write inside may have been applied all the same: read again before deciding on it.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        what = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise TransientError(STORAGE_UNAVAILABLE, f"{service} did not do what it was asked to ({what})") from error


def holds(write: Callable[[], Any]) -> bool:
    """Run ``write``; False where its condition did not hold. Raises TransientError for every other failure."""
    with translate_aws_errors():
        try:
            write()
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
    return True


def parsed[M: BaseModel](model: type[M], document: str | bytes) -> M:
    """A stored document; raises TransientError for one that this version of the code does not understand.

    A newer version may have written it: to go on with a part of it would lose the rest with the next write.
    """
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        message = f"a stored {model.__name__} is not of a known form ({fields}): it was written by another version"
        raise TransientError("unknown_schema", message) from None
