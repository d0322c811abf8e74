"""Every environment variable is validated, and what is wrong is named with its value."""

import pytest
from botbalance.errors import SettingsError
from botbalance.settings import Settings, read_settings

from workbench.aws.template import read_template

TABLES = {
    f"{name}_TABLE": f"botbalance-{name.lower()}"
    for name in (
        "STRATEGIES",
        "ORDERS",
        "DECISIONS",
        "CREDENTIALS",
        "CACHE",
        "ACCOUNTS",
        "OPERATOR",
        "ACTIVITY",
        "HISTORY",
        "PAPER",
        "NOTIFICATIONS",
    )
}


def test_the_tables_are_all_that_has_to_be_set() -> None:
    settings = read_settings(TABLES)
    assert settings.orders_table == "botbalance-orders"
    assert settings == Settings(
        strategies_table="botbalance-strategies",
        orders_table="botbalance-orders",
        decisions_table="botbalance-decisions",
        credentials_table="botbalance-credentials",
        cache_table="botbalance-cache",
        accounts_table="botbalance-accounts",
        operator_table="botbalance-operator",
        activity_table="botbalance-activity",
        history_table="botbalance-history",
        paper_table="botbalance-paper",
        notifications_table="botbalance-notifications",
        pricing_source="last",
        pricing_use_cache=True,
        pricing_ttl=5,
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_not_set_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        read_settings({other: value for other, value in TABLES.items() if other != name})


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({"PRICING_TTL": "soon", "PRICING_SOURCE": "best"})
    for name in (*TABLES, "PRICING_TTL is 'soon'", "PRICING_SOURCE is 'best'"):
        assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRICING_SOURCE", "LAST"),
        ("PRICING_SOURCE", "close"),
        ("PRICING_USE_CACHE", "maybe"),
        ("PRICING_USE_CACHE", "2"),
        ("PRICING_TTL", "0"),
        ("PRICING_TTL", "11"),
        ("PRICING_TTL", "-5"),
        ("PRICING_TTL", "5.5"),
        ("PRICING_TTL", "5s"),
        ("PRICING_TTL", "NaN"),
        ("MARKET_RULES_TTL", "59"),
        ("MARKET_RULES_TTL", "86401"),
        ("MARKET_RULES_TTL", "an hour"),
        ("DECISION_TTL_DAYS", "0"),
        ("DECISION_TTL_DAYS", "3651"),
        ("NOOP_DECISION_TTL_DAYS", "0"),
        ("DISPATCH_CHUNK", "0"),
        ("DISPATCH_CHUNK", "501"),
        ("DISPATCH_THREADS", "0"),
        ("DISPATCH_THREADS", "65"),
        ("WORK_THREADS", "0"),
        ("WORK_THREADS", "65"),
        ("EXCHANGE_BASE_URL", "127.0.0.1:9000"),
        ("EXCHANGE_BASE_URL", "ftp://127.0.0.1"),
        ("EXCHANGE_BASE_URL", "http://127.0.0.1:9000/api"),
        ("DYNAMODB_ENDPOINT", "localhost"),
        ("SQS_ENDPOINT", "http:/localhost"),
        ("KMS_ENDPOINT", "http://"),
        ("TICK_QUEUE_URL", "TickQueue"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(TABLES | {name: value})
    assert f"{name} is {value!r}: " in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("PRICING_SOURCE", "mid", "mid"),
        ("PRICING_USE_CACHE", "false", False),
        ("PRICING_USE_CACHE", "true", True),
        ("PRICING_TTL", "10", 10),
        ("MARKET_RULES_TTL", "60", 60),
        ("DECISION_TTL_DAYS", "3650", 3650),
        ("NOOP_DECISION_TTL_DAYS", "1", 1),
        ("DISPATCH_CHUNK", "500", 500),
        ("DISPATCH_THREADS", "64", 64),
        ("WORK_THREADS", "64", 64),
        ("EXCHANGE_BASE_URL", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("DYNAMODB_ENDPOINT", "http://localhost:8000/", "http://localhost:8000/"),
        ("TICK_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q", "https://sqs.eu-west-1.amazonaws.com/1/q"),
    ],
)
def test_a_right_value_is_read(name: str, value: str, read: object) -> None:
    assert getattr(read_settings(TABLES | {name: value}), name.lower()) == read


@pytest.mark.parametrize("field", sorted(Settings.model_fields.keys() - {name.lower() for name in TABLES}))
def test_an_empty_variable_is_not_set(field: str) -> None:
    assert read_settings(TABLES | {field.upper(): ""}) == read_settings(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_is_not_set(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        read_settings(TABLES | {name: ""})


def test_other_variables_are_none_of_our_business() -> None:
    assert read_settings(TABLES | {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x"}) == read_settings(TABLES)


def test_what_the_template_sets_is_read() -> None:
    template = read_template()
    names = [
        name for kind in ("DynamoDB::Table", "SQS::Queue", "KMS::Key") for name in template.resources(f"AWS::{kind}")
    ]
    environment = template.environment({name: f"https://sqs.local/{name}" for name in names})
    assert read_settings(environment).orders_table.endswith("OrdersTable")


@pytest.mark.parametrize(
    "url",
    [
        "http://exchange.example.com",
        "http://127.0.0.1.example.com:9000",
        "http://127.0.0.1:9000@example.com",
        "http://192.168.0.7:9000",
        "http://host.docker.internal:9000",
    ],
)
def test_keys_never_leave_this_machine_unencrypted(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^EXCHANGE_BASE_URL is '.+': expected https, or http to 127\.0\.0\.1$"):
        read_settings(TABLES | {"EXCHANGE_BASE_URL": url})


@pytest.mark.parametrize("url", ["https://testnet.example.com", "http://127.0.0.1:9000", "http://localhost:9000"])
def test_a_stand_in_for_the_exchange_is_encrypted_or_on_this_machine(url: str) -> None:
    assert read_settings(TABLES | {"EXCHANGE_BASE_URL": url}).plain_http_hosts == {"127.0.0.1", "::1", "localhost"}


@pytest.mark.parametrize("host", ["172.17.0.1", "host.docker.internal"])
def test_a_container_of_the_sam_cli_reaches_the_machine_that_it_runs_on(host: str) -> None:
    told = TABLES | {"EXCHANGE_BASE_URL": f"http://{host}:9000"}
    assert host in read_settings(told | {"AWS_SAM_LOCAL": "true"}).plain_http_hosts
    with pytest.raises(SettingsError):
        read_settings(told | {"AWS_SAM_LOCAL": "false"})


def test_the_sam_cli_s_containers_send_nothing_unencrypted_elsewhere() -> None:
    with pytest.raises(SettingsError):
        read_settings(TABLES | {"EXCHANGE_BASE_URL": "http://8.8.8.8", "AWS_SAM_LOCAL": "true"})
