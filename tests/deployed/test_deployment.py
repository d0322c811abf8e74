"""From nothing to orders that rest, to a new engine, to a release that fails, and back to nothing."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deployed.conftest import KEY, SECRET
from tests.deployed.documented import OperatorsShell, blocks, is_run
from tests.deployed.emulated_account import Api, EmulatedAccount
from tests.deployed.filter_patterns import matches
from tests.deployed.web_app import WebApp, check_pages, write_dashboard
from tests.unit.architecture.transformed import resources, transformed
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

STACK = "botbalance"
MAIL, PASSWORD = "you@example.com", "A-long-Password-1"
PAGE = "https://app.example.com"
ENGINE = "layers/engine/python/botbalance/engine/__init__.py"
FUNCTIONS = 10
TICK_S = 30
LONGEST_WAIT_S = 150
"""For the first tick: a minute's event, somewhere in that minute, names ticks of the next one."""
STAYS = {
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::Cognito::UserPool",
    "AWS::ApiGateway::Account",
    "AWS::IAM::Role",
}


class Steps:
    """How long each step took, and, apart from it, how long the clock was waited for."""

    def __init__(self) -> None:
        self._took: list[tuple[str, float]] = []
        self.waited = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began, waited = time.monotonic(), self.waited
        try:
            yield
        finally:
            self._took.append((name, time.monotonic() - began - (self.waited - waited)))

    def wait_for[T](self, what: str, found: Callable[[], T | None], longest_s: float = LONGEST_WAIT_S) -> T:
        """What ``found`` finds, as soon as it does."""
        began = time.monotonic()
        try:
            while time.monotonic() - began < longest_s:
                if (result := found()) is not None:
                    return result
                time.sleep(1)
        finally:
            self.waited += time.monotonic() - began
        pytest.fail(f"{what}: not within {longest_s:.0f} s")

    def report(self) -> str:
        lines = [f"{seconds:7.1f} s  {name}" for name, seconds in self._took]
        return "\n".join(["", *lines, f"{self.waited:7.1f} s  waiting for the minute and its ticks"])


@pytest.fixture
def steps(capsys: pytest.CaptureFixture[str]) -> Iterator[Steps]:
    steps = Steps()
    yield steps
    with capsys.disabled():
        print(steps.report())


def sign_in(account: EmulatedAccount) -> str:
    """The token of the user who was invited as docs/deploy.md says."""
    outputs, cognito = account.outputs(STACK), account.client("cognito-idp")
    pool = outputs["UserPoolId"]
    configured = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["UsernameConfiguration"]
    assert configured == {"CaseSensitive": False}  # which MiniStack keeps, and does not act on
    signed_in = cognito.initiate_auth(
        ClientId=outputs["UserPoolClientId"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": MAIL, "PASSWORD": PASSWORD},
    )
    token: str = signed_in["AuthenticationResult"]["IdToken"]
    return token


def live_versions(account: EmulatedAccount) -> dict[str, str]:
    """The version that the alias ``live`` of each function points to."""
    functions = account.client("lambda")
    return {
        name: functions.get_alias(FunctionName=physical_id, Name="live")["FunctionVersion"]
        for name, (kind, physical_id) in account.resources(STACK).items()
        if kind == "AWS::Lambda::Function" and name != "WebFilesFunction"
    }


def latest_decision(api: Api, after: int, engine: str | None = None) -> dict[str, Any] | None:
    """The newest decision of a tick after ``after`` (epoch seconds), by ``engine`` where one is named."""
    for decision in api.expect("GET", "/api/me/decisions/")["decisions"]:
        if decision["ts_tick"] > after and engine in {None, decision["engine_version"]}:
            found: dict[str, Any] = decision
            return found
    return None


def failed_ticks(account: EmulatedAccount, since: float) -> list[dict[str, Any]]:
    """Of the functions' log the lines that the filter behind the rollback alarm on failed ticks would count."""
    counter = resources(transformed(), "AWS::Logs::MetricFilter")["FailedTicksCounter"]["Properties"]
    group = account.resources(STACK)["FunctionLogs"][1]
    lines = [line for line in account.log(group) if line.get("ts_tick", 0) > since]
    return [line for line in lines if matches(counter["FilterPattern"], line)]


def resting_orders(account: EmulatedAccount, books: MatchingEngine, at_least: int) -> bool | None:
    """Whether so many rest; a tick, or a whole function, that fails meanwhile is named."""
    for tick in failed_ticks(account, 0):
        pytest.fail(f"a tick raises: {tick.get('exception', tick)}")
    for crash in account.crashes(account.resources(STACK)["FunctionLogs"][1]):
        pytest.fail(f"a function raises: {crash}")
    return len(books.open_orders(KEY)) >= at_least or None


@pytest.mark.timeout(900)  # three builds and deployments, and four minutes of the clock
def test_the_deployment_from_first_to_last(
    account: EmulatedAccount,
    checkout: Path,
    simulation: Simulation,
    books: MatchingEngine,
    exchange: ExchangeServer,
    operators_shell: OperatorsShell,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    parameters = {"DeletionProtection": "false", "ExchangeBaseUrl": exchange.url, "PortfolioMaxAge": "0"}
    books.open_account(KEY, SECRET, simulation.start_balances)

    with steps.step("sam build"):
        account.build(checkout)
    with steps.step("first deployment"):
        account.deploy(checkout, STACK, parameters)
    first = live_versions(account)
    assert len(first) == FUNCTIONS
    rest_api = account.resources(STACK)["Api"][1]
    stages = account.client("apigateway").get_stages(restApiId=rest_api)["item"]
    assert [stage["stageName"] for stage in stages] == ["live"]

    with steps.step("a user, signed in as the page says"):
        assert Api(account, STACK, None).ask("GET", "/api/me/decisions/").status_code == 401
        assert Api(account, STACK, None).ask("GET", "/api/health").status_code == 200
        operators_shell.run("deploy.md", "Words for what follows")
        operators_shell.run("deploy.md", "The first user", typed=f"{PASSWORD}\n")
        api = Api(account, STACK, sign_in(account))

    with steps.step("a rehearsal, with an order by hand, and the autopilot"):
        rehearsed = operators_shell.run("deploy.md", "Rehearse on a test network")
        assert "cancelled" in rehearsed, rehearsed
        assert not books.open_orders(KEY)
        enabled_at = time.time()
        operators_shell.run("deploy.md", "Real money")

    with steps.step("orders rest, by the schedule alone"):
        steps.wait_for("resting orders", lambda: resting_orders(account, books, 3))
        decision = steps.wait_for("a decision", lambda: latest_decision(api, int(enabled_at)), longest_s=TICK_S)
        assert decision["ts_tick"] % TICK_S == 0
        assert failed_ticks(account, 0) == []

    with steps.step("a halt takes back what rests, and ends"):
        began = time.monotonic()
        operators_shell.run("deploy.md", "Take it down", only_first=True)
        steps.waited += time.monotonic() - began
        assert not books.open_orders(KEY)
        operators_shell.run("operate.md", "Stop everything, for everybody")
        steps.wait_for("resting orders", lambda: resting_orders(account, books, 1))

    with steps.step("a changed engine and a changed parameter: build and deployment"):
        engine = checkout / ENGINE
        original = engine.read_text()
        engine.write_text(original + '\nVERSION = "another-engine"\n')
        account.build(checkout)
        write_dashboard(checkout)
        account.deploy(checkout, STACK, parameters | {"CorsOrigin": PAGE, "WebApp": "true"})
    with steps.step("the changed engine answers, with the changed parameter"):
        second = live_versions(account)
        assert all(second[name] != first[name] for name in first)
        health = Api(account, STACK, None).ask("GET", "/api/health")
        assert health.headers["Access-Control-Allow-Origin"] == PAGE
        steps.wait_for(
            "a decision of the changed engine", lambda: latest_decision(api, 0, "another-engine"), 2 * TICK_S
        )

    with steps.step("the dashboard: pages, a sign-in by code, the API behind the same name"):
        web = WebApp(account, STACK)
        check_pages(web, account.outputs(STACK)["UserPoolClientId"])
        assert web.get("/api/health").json() == {"status": "ok"}
        assert web.get("/api/me/overview").status_code == 401
        overview = web.get("/api/me/overview", web.sign_in(MAIL, PASSWORD)).json()
        assert overview["strategy"]["autopilot_enabled"] is True

    with steps.step("a release in which every tick raises: build and deployment"):
        engine.write_text(original + "\n\ndef evaluate(*_, **__):\n    raise RuntimeError('nothing is decided')\n")
        account.build(checkout)
        account.deploy(checkout, STACK, parameters)
        failing_since = time.time()
    with steps.step("its failed ticks are counted within two ticks"):
        steps.wait_for(
            "a failed tick that the alarm counts",
            lambda: failed_ticks(account, failing_since) or None,
            longest_s=2 * TICK_S + 5,
        )

    with steps.step("stop, while every tick fails"):
        api.expect("POST", "/api/me/strategies/rebalance/stop/")
        assert not books.open_orders(KEY)
        assert api.expect("GET", "/api/me/strategies/rebalance/")["autopilot_enabled"] is False

    with steps.step("alarms, logs, dead letters, users and tables, as the page says"):
        operators_shell.run("operate.md", "Alarms")
        [alarm] = account.client("cloudwatch").describe_alarms(StateValue="ALARM")["MetricAlarms"]
        assert alarm["AlarmName"] == account.resources(STACK)["DeadLetters"][1]
        assert "tick_failed" in operators_shell.run("operate.md", "Logs")
        operators_shell.run("operate.md", "Dead letters")
        assert re.search(r'"switched_off": ?1\b', operators_shell.run("operate.md", "Users"))
        keys = account.client("dynamodb").scan(TableName=account.resources(STACK)["CredentialsTable"][1])["Items"]
        assert [item for item in keys if item["exchange"]["S"] == "binance"] == []
        assert "1 item copied" in operators_shell.run("operate.md", "Restore a table")

    with steps.step("deletion"):
        before = account.resources(STACK)
        operators_shell.run("deploy.md", "Take it down")
        check_what_is_left(account, before)
    assert set(operators_shell.ran) == {block for block in blocks() if is_run(block)}


def check_what_is_left(account: EmulatedAccount, before: dict[str, tuple[str, str]]) -> None:
    """Nothing that computes or costs; the tables, the users, the key of keys and what the account logs with."""
    kept = {
        name
        for name, resource in transformed()["Resources"].items()
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert {before[name][0] for name in kept} == STAYS
    tables = {before[name][1] for name in kept if before[name][0] == "AWS::DynamoDB::Table"}
    roles = [role["RoleName"] for role in account.client("iam").list_roles()["Roles"]]
    assert set(account.client("dynamodb").list_tables()["TableNames"]) == tables
    assert len(account.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"]) == 1
    assert [role for role in roles if role.startswith(STACK)] == [before["ApiGatewayLogsRole"][1]]
    assert account.client("lambda").list_functions()["Functions"] == []
    assert account.client("cloudfront").list_distributions()["DistributionList"]["Quantity"] == 0
    assert account.client("apigateway").get_rest_apis()["items"] == []
    assert account.client("sqs").list_queues().get("QueueUrls", []) == []
    assert account.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert account.client("events").list_rules()["Rules"] == []
    assert account.client("sns").list_topics()["Topics"] == []
    assert account.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert account.client("logs").describe_log_groups()["logGroups"] == []
