"""The structured log of this process: one JSON line a fact, never a secret."""

import logging
import re
import sys
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_ADDRESS = re.compile(r'https?://[^\s"\\]+|\?[\w.%-]+=[^\s"\\)]*')
"""A URL, or the query of one: where a request is signed, its signature is in it."""


class _WithoutAddresses(LambdaPowertoolsFormatter):
    """Leaves addresses out of what an exception says, and out of what it was raised from."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return _ADDRESS.sub("…", line) if record.exc_info else line


logger = Logger(service="botbalance", stream=sys.stderr, logger_formatter=_WithoutAddresses())


def alarm(name: str, message: str, **facts: Any) -> None:
    """Log what a person has to look at; ``name`` is the stable word that alarms are counted by."""
    logger.error(message, alarm=name, **facts)
