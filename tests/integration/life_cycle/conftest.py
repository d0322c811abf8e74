"""The tables, on the emulator of one machine and on AWS's own engine where one answers; and how long to search.

``BOTBALANCE_TEST_DYNAMODB=http://127.0.0.1:8000`` names that engine. With ``HYPOTHESIS_PROFILE=long``, or
``--hypothesis-profile long`` where this folder is named on the command line, the search takes long, and goes elsewhere
each time; ``--hypothesis-seed`` says where.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.running import local_dynamodb
from workbench.aws.resources import CREDENTIALS, LOCAL_SETTINGS, EmbeddedAws
from workbench.aws.template import read_template
from workbench.faults.aws import no_backoff

LONG = "long"

settings.register_profile(
    LONG,
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
if os.environ.get("HYPOTHESIS_PROFILE") == LONG:
    settings.load_profile(LONG)


@pytest.fixture(scope="session", params=["embedded", "dynamodb-local"])
def environment(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """What the template tells the functions, over tables that are really there."""
    local = local_dynamodb() if request.param == "dynamodb-local" else None
    aws = EmbeddedAws(read_template(), run=f"life-{uuid4().hex[:8]}", dynamodb=local)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        try:
            environment = aws.start() | LOCAL_SETTINGS
            yield environment
            if local is not None:
                with closing(boto3.client("dynamodb", endpoint_url=local)) as client:
                    for name in filter(None, (environment.get(variable) for variable in _TABLE_VARIABLES)):
                        client.delete_table(TableName=name)
        finally:
            aws.stop()


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """AWS's clients repeat what failed without waiting first."""
    with no_backoff():
        yield


_TABLE_VARIABLES = (
    "STRATEGIES_TABLE",
    "ORDERS_TABLE",
    "DECISIONS_TABLE",
    "CREDENTIALS_TABLE",
    "CACHE_TABLE",
    "ACCOUNTS_TABLE",
    "ACTIVITY_TABLE",
    "HISTORY_TABLE",
    "PAPER_TABLE",
    "NOTIFICATIONS_TABLE",
)
