"""Limits over moto's DynamoDB, a simulated exchange that says them, and a clock moved by hand."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botbalance.accounts.rate_limits import RateLimits
from botbalance.store.cache import CacheTable
from moto import mock_aws

from tests.fixtures.cache_table import CACHE, Clock, cache_properties, clock
from tests.integration.exchange.simulated import Exchange, running_exchange

__all__ = ["cache_properties", "clock"]  # fixtures

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def client() -> Iterator["DynamoDBClient"]:
    keys: dict[str, Any] = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    with closing(boto3.client("dynamodb", region_name="us-east-1", **keys)) as client:
        yield client


@pytest.fixture
def cache(client: "DynamoDBClient", cache_properties: dict[str, Any]) -> Iterator[CacheTable]:
    with mock_aws():
        client.create_table(TableName=CACHE, **cache_properties)
        yield CacheTable(client, CACHE)


@pytest.fixture
def limits(cache: CacheTable, clock: Clock) -> RateLimits:
    return RateLimits(cache, clock)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running
