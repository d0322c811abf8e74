"""ExchangeClients: a bounded number of connections, and never one with a key that was replaced."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import boto3
import pytest
from botbalance.accounts.exchange_clients import KEPT_S, MAX_CLIENTS, ExchangeClients
from botbalance.accounts.rate_limits import RateLimits
from botbalance.errors import NotFoundError, RateLimitedError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.models.exchange_key import ExchangeKey
from botbalance.store.cache import CacheTable
from botbalance.store.credentials import CredentialsTable
from botbalance.store.data_keys import DataKeys
from moto import mock_aws

from tests.fixtures.cache_table import Clock
from workbench.aws.template import read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000


@pytest.fixture
def credentials(client: "DynamoDBClient") -> Iterator[CredentialsTable]:
    properties = read_template().resources("AWS::DynamoDB::Table")["CredentialsTable"]
    with mock_aws():
        wanted = {name: properties[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
        client.create_table(TableName="credentials", **wanted)
        kms = boto3.client("kms", region_name="us-east-1")
        key_id = kms.create_key()["KeyMetadata"]["KeyId"]
        yield CredentialsTable(client, "credentials", DataKeys(client, "credentials", kms, key_id, lambda: NOW))
        kms.close()


class NotedAdapters:
    """Makes real adapters, and remembers with which keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._made: list[CcxtAdapter] = []

    def connect(self, exchange: str, _user_id: str, key: ExchangeKey) -> ExchangeAdapter:
        adapter = CcxtAdapter(exchange, api_key=key.api_key, secret=key.secret, base_url="http://127.0.0.1:1")
        self.keys.append(key.api_key)
        self._made.append(adapter)
        return adapter

    def close(self) -> None:
        for adapter in self._made:
            adapter.close()


@pytest.fixture
def connections() -> Iterator[NotedAdapters]:
    made = NotedAdapters()
    yield made
    made.close()


@pytest.fixture
def limits(cache: CacheTable) -> RateLimits:
    return RateLimits(cache, lambda: NOW)


def no_paper(*_: object) -> NoReturn:
    pytest.fail("nobody trades on paper here")


@pytest.fixture
def accounts(
    credentials: CredentialsTable, limits: RateLimits, connections: NotedAdapters, clock: Clock
) -> ExchangeClients:
    return ExchangeClients(credentials, limits, connections.connect, no_paper, clock)


def save(credentials: CredentialsTable, user_id: str, api_key: str, exchange: str = "binance") -> None:
    credentials.save(user_id, exchange, ExchangeKey(api_key, "secret"), NOW)


def test_a_connection_is_kept(
    accounts: ExchangeClients, credentials: CredentialsTable, connections: NotedAdapters
) -> None:
    save(credentials, "alice", "key-1")
    assert accounts.get("alice", "binance") is accounts.get("alice", "binance")
    assert connections.keys == ["key-1"]


def test_users_and_exchanges_have_connections_of_their_own(
    accounts: ExchangeClients, credentials: CredentialsTable
) -> None:
    save(credentials, "alice", "key-1")
    save(credentials, "bob", "key-2")
    save(credentials, "alice", "key-1", "kraken")
    found = [accounts.get("alice", "binance"), accounts.get("bob", "binance"), accounts.get("alice", "kraken")]
    assert len({id(one) for one in found}) == 3


@pytest.mark.parametrize("new", ["another-key", "key-with-the-same-end-1", "key-1"])
def test_a_replaced_key_is_used_from_the_next_request_on(
    accounts: ExchangeClients, credentials: CredentialsTable, connections: NotedAdapters, new: str
) -> None:
    save(credentials, "alice", "key-1")
    old = accounts.get("alice", "binance")
    save(credentials, "alice", new)
    assert accounts.get("alice", "binance") is not old
    assert connections.keys == ["key-1", new]


def test_a_deleted_key_is_not_used_any_more(accounts: ExchangeClients, credentials: CredentialsTable) -> None:
    save(credentials, "alice", "key-1")
    accounts.get("alice", "binance")
    credentials.delete("alice", "binance")
    with pytest.raises(NotFoundError, match="binance"):
        accounts.get("alice", "binance")


def kept_keys(accounts: ExchangeClients) -> list[str]:
    """The keys that this process has in the clear."""
    return [kept.adapter._client.apiKey for kept in accounts._clients.values() if isinstance(kept.adapter, CcxtAdapter)]


def test_a_key_is_in_the_clear_for_minutes_at_most(
    accounts: ExchangeClients, credentials: CredentialsTable, connections: NotedAdapters, clock: Clock
) -> None:
    save(credentials, "alice", "key-1")
    save(credentials, "bob", "key-2")
    for _ in range(3):  # however often it is used
        accounts.get("alice", "binance")
        clock.now += KEPT_S // 3
    accounts.find_keys([("bob", "binance")])  # by whomever something is asked next
    assert kept_keys(accounts) == []
    accounts.get("alice", "binance")
    assert connections.keys == ["key-1", "key-1"]
    assert 60 <= KEPT_S <= 600


def test_a_key_that_another_process_deleted_or_replaced_is_dropped_when_that_is_seen(
    accounts: ExchangeClients, credentials: CredentialsTable
) -> None:
    owners = [("alice", "binance"), ("bob", "binance"), ("carol", "binance")]
    for user, _ in owners:
        save(credentials, user, f"key-of-{user}")
        accounts.get(user, "binance")
    credentials.delete("alice", "binance")
    save(credentials, "bob", "another")
    accounts.find_keys(owners)
    assert kept_keys(accounts) == ["key-of-carol"]


def test_a_key_that_this_process_deletes_or_replaces_is_dropped_at_once(
    accounts: ExchangeClients, credentials: CredentialsTable
) -> None:
    for user in ("alice", "bob", "carol"):
        save(credentials, user, f"key-of-{user}")
        accounts.get(user, "binance")
    accounts.forget("alice", "binance")
    accounts.save("bob", "binance", ExchangeKey("another", "secret"), NOW)
    assert kept_keys(accounts) == ["key-of-carol"]


def test_no_more_connections_are_kept_than_agreed_and_the_least_used_goes_first(
    accounts: ExchangeClients,
    credentials: CredentialsTable,
    connections: NotedAdapters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("botbalance.accounts.exchange_clients.MAX_CLIENTS", 2)
    assert MAX_CLIENTS == 2048
    for user in ("alice", "bob", "carol"):
        save(credentials, user, f"key-of-{user}")
    for user in ("alice", "bob", "alice", "carol"):
        accounts.get(user, "binance")
    connections.keys.clear()
    accounts.get("alice", "binance")
    accounts.get("carol", "binance")
    assert connections.keys == []
    accounts.get("bob", "binance")
    assert connections.keys == ["key-of-bob"]


def test_a_key_that_is_limited_is_not_even_decrypted(
    credentials: CredentialsTable, cache: CacheTable, connections: NotedAdapters
) -> None:
    save(credentials, "alice", "key-1")
    save(credentials, "bob", "key-2")
    limits = RateLimits(cache, lambda: NOW)
    limits.of("binance", "alice").record_limit(60, whole_host=False)
    accounts = ExchangeClients(
        credentials, RateLimits(cache, lambda: NOW), connections.connect, no_paper, lambda: NOW
    )  # another process
    with pytest.raises(RateLimitedError, match="60"):
        accounts.get("alice", "binance")
    accounts.get("bob", "binance")
    assert connections.keys == ["key-2"]


def test_many_keys_are_read_at_once(accounts: ExchangeClients, credentials: CredentialsTable) -> None:
    save(credentials, "alice", "key-1")
    save(credentials, "bob", "key-2")
    owners = [("alice", "binance"), ("bob", "binance"), ("carol", "binance")]
    keys = accounts.find_keys(owners)
    assert sorted(keys) == [("alice", "binance"), ("bob", "binance")]
    assert accounts.get_with_key(*owners[0], keys[owners[0]]) is accounts.get("alice", "binance")
    with pytest.raises(NotFoundError, match="binance"):
        accounts.get_with_key(*owners[2], keys.get(owners[2]))


def test_with_reads_stopped_there_is_a_connection_to_cancel_with_and_with_all_stopped_none(
    accounts: ExchangeClients, credentials: CredentialsTable, limits: RateLimits, connections: NotedAdapters
) -> None:
    save(credentials, "alice", "key-1")
    anybody = limits.of("binance", None)
    with anybody.request(sends=True, weight=1):
        anybody.record_weight(4800)
    accounts.get("alice", "binance")
    assert connections.keys == ["key-1"]
    with anybody.request(sends=True, weight=1):
        anybody.record_weight(5700)
    with pytest.raises(RateLimitedError, match="no requests"):
        accounts.get("alice", "binance")
