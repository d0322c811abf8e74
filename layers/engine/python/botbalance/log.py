"""The structured log of this process: one JSON line a fact, never a secret."""

import sys
from typing import Any

from aws_lambda_powertools import Logger

logger = Logger(service="botbalance", stream=sys.stderr)


def alarm(name: str, message: str, **facts: Any) -> None:
    """Log what a person has to look at; ``name`` is the stable word that alarms are counted by."""
    logger.error(message, alarm=name, **facts)
