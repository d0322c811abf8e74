"""The template's tables on three engines: moto and the simulation's own in this process, and AWS's own DynamoDB Local
where one answers.

``BOTBALANCE_TEST_DYNAMODB=http://127.0.0.1:8000`` names it; without that its third of the tests is skipped.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.activity import ActivityTable
from botbalance.store.cache import CacheTable
from botbalance.store.credentials import CredentialsTable
from botbalance.store.data_keys import DataKeys
from botbalance.store.decisions import DecisionsTable
from botbalance.store.history import HistoryTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from moto import mock_aws

from tests.fixtures.running import LOCAL_DYNAMODB, local_dynamodb
from tests.unit.store.concurrent_writers import held
from workbench.aws.template import read_template
from workbench.simulation.dynamodb import InMemoryDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

TTL_DAYS, NOOP_TTL_DAYS = 90, 14
NOW = 1_700_000_000
_PROPERTIES = {
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
}
_NOBODY: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
_QUICK = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
_REPEATING = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=32
)
"""As in production: a request whose answer was lost is repeated twice."""

type MakeTable = Callable[[str], str]
type Grant = Callable[[str], Lease]


@pytest.fixture(scope="session")
def tables() -> dict[str, dict[str, Any]]:
    """The properties of the template's tables, as CreateTable takes them, by logical id."""
    return {
        logical_id: {key: properties[key] for key in _PROPERTIES & properties.keys()}
        for logical_id, properties in read_template().resources("AWS::DynamoDB::Table").items()
    }


@pytest.fixture(scope="session", params=["moto", "memory", "dynamodb-local"])
def client(request: pytest.FixtureRequest) -> Iterator["DynamoDBClient"]:
    """A client of one of the engines; made once, because that takes longer than a test."""
    if request.param == "memory":
        in_memory: Any = InMemoryDynamoDB()
        yield in_memory
        return
    endpoint = local_dynamodb() if request.param == "dynamodb-local" else None
    with closing(boto3.client("dynamodb", endpoint_url=endpoint, config=_QUICK, **_NOBODY)) as client:
        if endpoint is not None:
            try:
                client.list_tables(Limit=1)
            except BotoCoreError as error:
                pytest.skip(f"{LOCAL_DYNAMODB} is {endpoint}, where nothing answers: {error}")
        yield client


@pytest.fixture(scope="session")
def repeating_client(client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    """Another client of the same engine, one that repeats what failed."""
    if isinstance(client, InMemoryDynamoDB):
        repeating_in_memory: Any = InMemoryDynamoDB(client.database, attempts=3)
        yield repeating_in_memory
        return
    with closing(
        boto3.client("dynamodb", endpoint_url=client.meta.endpoint_url, config=_REPEATING, **_NOBODY)
    ) as repeating:
        yield repeating


@pytest.fixture
def repeating(dynamodb: "DynamoDBClient", repeating_client: "DynamoDBClient") -> "DynamoDBClient":
    return repeating_client


@pytest.fixture
def dynamodb(client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    with mock_aws():  # a client with an endpoint of its own goes past it
        yield client


@pytest.fixture
def table(dynamodb: "DynamoDBClient", tables: dict[str, dict[str, Any]]) -> Iterator[MakeTable]:
    """Makes a table of its own for the test from its logical id in the template; returns its name."""
    made = []

    def make(logical_id: str) -> str:
        name = f"test-{logical_id}-{uuid4()}"
        dynamodb.create_table(TableName=name, **tables[logical_id])
        made.append(name)
        return name

    yield make
    for name in made:
        dynamodb.delete_table(TableName=name)


@pytest.fixture(scope="session")
def kms_client() -> Iterator["KMSClient"]:
    with closing(boto3.client("kms", config=_QUICK, **_NOBODY)) as client:
        yield client


@pytest.fixture
def kms(dynamodb: "DynamoDBClient", kms_client: "KMSClient") -> "KMSClient":
    return kms_client


@pytest.fixture
def key_id(kms: "KMSClient") -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture
def strategies_table(table: MakeTable) -> str:
    return table("StrategiesTable")


@pytest.fixture
def strategies(dynamodb: "DynamoDBClient", strategies_table: str) -> StrategiesTable:
    return StrategiesTable(dynamodb, strategies_table)


@pytest.fixture
def orders_table(table: MakeTable) -> str:
    return table("OrdersTable")


@pytest.fixture
def orders(dynamodb: "DynamoDBClient", orders_table: str) -> OrdersTable:
    return OrdersTable(dynamodb, orders_table)


@pytest.fixture
def decisions_table(table: MakeTable) -> str:
    return table("DecisionsTable")


@pytest.fixture
def decisions(dynamodb: "DynamoDBClient", decisions_table: str) -> DecisionsTable:
    return DecisionsTable(dynamodb, decisions_table, TTL_DAYS, NOOP_TTL_DAYS)


@pytest.fixture
def credentials_table(table: MakeTable) -> str:
    return table("CredentialsTable")


@pytest.fixture
def credentials(dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient", key_id: str) -> CredentialsTable:
    return CredentialsTable(
        dynamodb, credentials_table, DataKeys(dynamodb, credentials_table, kms, key_id, lambda: NOW)
    )


@pytest.fixture
def accounts_table(table: MakeTable) -> str:
    return table("AccountsTable")


@pytest.fixture
def accounts(dynamodb: "DynamoDBClient", accounts_table: str) -> AccountsTable:
    return AccountsTable(dynamodb, accounts_table)


@pytest.fixture
def grant(accounts: AccountsTable) -> Iterator[Grant]:
    """Takes the lease of a user's account for the rest of the test."""
    with ExitStack() as run:
        yield lambda user_id: run.enter_context(held(accounts, user_id))


@pytest.fixture
def lease(grant: Grant) -> Lease:
    """Alice's, the first that was ever taken: its number is 1."""
    return grant("alice")


@pytest.fixture
def activities(dynamodb: "DynamoDBClient", table: MakeTable) -> ActivityTable:
    return ActivityTable(dynamodb, table("ActivityTable"))


@pytest.fixture
def history_table(table: MakeTable) -> str:
    return table("HistoryTable")


@pytest.fixture
def histories(dynamodb: "DynamoDBClient", history_table: str) -> HistoryTable:
    return HistoryTable(dynamodb, history_table)


@pytest.fixture
def cache(dynamodb: "DynamoDBClient", table: MakeTable) -> CacheTable:
    return CacheTable(dynamodb, table("CacheTable"))
