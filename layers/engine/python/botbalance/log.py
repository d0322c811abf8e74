"""The structured log of this process: one JSON line a fact, never a secret."""

import sys

from aws_lambda_powertools import Logger

logger = Logger(service="botbalance", stream=sys.stderr)
