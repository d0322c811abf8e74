"""Conditional writes: a write that loses its condition is an answer, not an error."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def holds(write: Callable[[], Any]) -> bool:
    """Run ``write``; False where its condition did not hold. Every other failure is raised."""
    try:
        write()
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True
