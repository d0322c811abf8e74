"""What AWS makes of the template: which releases go live, what rolls them back, what the stages and roles are."""

import re
import shutil
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from botbalance.api.resolver import CLIENTS_VARIABLE

from tests.unit.architecture.transformed import resources, transformed
from workbench.aws.release import ROOT, compute_release, parameter_overrides

FUNCTIONS = 10
DEPLOYS = "WebFilesFunction"
"""Answers CloudFormation alone, while a stack is deployed: it has no alias and no layers."""
ROLLBACK_ALARMS = {"FunctionErrors", "FailedTicks", "SkippedTicks", "ApiErrors"}
KEPT = {"RetainExceptOnCreate", "Delete", None}


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is released."""
    for folder in ("functions", "layers", "infra"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def versions(template: dict[str, Any]) -> set[str]:
    return set(resources(template, "AWS::Lambda::Version"))


def deployments(template: dict[str, Any]) -> set[str]:
    return set(resources(template, "AWS::ApiGateway::Deployment"))


# Releases -----------------------------------------------------------------------------------------------------


def test_a_changed_engine_makes_new_versions_of_every_function(checkout: Path) -> None:
    before = transformed(Release=compute_release({}, checkout))
    engine = checkout / "layers/engine/python/botbalance/engine/rebalance.py"
    engine.write_text(engine.read_text() + "\n")
    after = transformed(Release=compute_release({}, checkout), engine="another engine")
    assert len(versions(before)) == len(versions(after)) == FUNCTIONS
    assert not versions(before) & versions(after)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ExchangeBaseUrl", "https://testnet.binance.vision"),
        ("PricingSource", "mid"),
        ("CorsOrigin", "https://app.example.com"),
        ("WorkConcurrency", "20"),
    ],
)
def test_a_changed_parameter_makes_new_versions_and_a_new_deployment_of_the_api(name: str, value: str) -> None:
    before = transformed(Release=compute_release({}))
    after = transformed(Release=compute_release({name: value}), **{name: value})
    assert len(versions(after)) == FUNCTIONS
    assert not versions(before) & versions(after)
    assert not deployments(before) & deployments(after)


def test_what_did_not_change_is_not_released_again(checkout: Path) -> None:
    parameters = {"PricingSource": "mid", "AlarmEmail": "you@example.com"}
    reordered = dict(reversed(parameters.items()))
    (checkout / "functions/__pycache__").mkdir()
    (checkout / "functions/__pycache__/app.pyc").write_bytes(b"bytecode")
    before = transformed(Release=compute_release(parameters, ROOT), **parameters)
    after = transformed(Release=compute_release(reordered, checkout), **reordered)
    assert before == after


def test_without_a_new_release_a_changed_engine_would_never_go_live() -> None:
    """Why there is a release at all: SAM's own rule looks at the functions' code only."""
    assert versions(transformed()) == versions(transformed(engine="another engine", PricingSource="mid"))


def test_every_version_is_what_live_points_to_and_can_be_published() -> None:
    """Lambda refuses a version that is no different from the one before: the description makes it so."""
    template = transformed(Release="a" * 40)
    pointed_to = {
        alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        for alias in resources(template, "AWS::Lambda::Alias").values()
    }
    assert pointed_to == versions(template)
    for name, function in resources(template, "AWS::Lambda::Function").items():
        assert name == DEPLOYS or function["Properties"]["Description"].endswith("a" * 40), name


def test_the_parameters_of_a_deployment_are_those_of_the_settings_and_above_them_yours() -> None:
    settings = ROOT / "infra/samconfig.toml"
    assert parameter_overrides(settings, "default", []) == {}
    production = parameter_overrides(settings, "production", ["LogRetentionDays=30", "CorsOrigin=https://a.example"])
    assert production["LogRetentionDays"] == "30"
    assert production["DeletionProtection"] == "true"
    with pytest.raises(ValueError, match="expected Name=value"):
        parameter_overrides(settings, "default", ["AlarmEmail"])


def test_settings_that_a_guided_deployment_saved_are_read_and_released_anew(tmp_path: Path) -> None:
    saved = tmp_path / "samconfig.toml"
    saved.write_text(
        'version = 0.1\n[default.deploy.parameters]\nparameter_overrides = "Release=\\"\\" PricingSource=\\"mid\\""\n'
    )
    assert parameter_overrides(saved, "default", []) == {"PricingSource": "mid"}


# What rolls a release back ------------------------------------------------------------------------------------


def test_every_function_is_rolled_back_by_failed_and_skipped_ticks_errors_of_functions_and_of_the_api() -> None:
    template = transformed()
    groups = resources(template, "AWS::CodeDeploy::DeploymentGroup")
    assert len(groups) == FUNCTIONS
    for name, group in groups.items():
        alarms = group["Properties"]["AlarmConfiguration"]
        assert alarms["Enabled"] is True, name
        assert {alarm["Name"]["Ref"] for alarm in alarms["Alarms"]} == ROLLBACK_ALARMS, name
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["Properties"]["AutoRollbackConfiguration"]["Events"], name


def test_one_failure_alone_rolls_nothing_back() -> None:
    alarms = resources(transformed(), "AWS::CloudWatch::Alarm")
    for name in ROLLBACK_ALARMS:
        properties = alarms[name]["Properties"]
        assert (properties["DatapointsToAlarm"], properties["EvaluationPeriods"]) == (2, 3), name
        assert properties["TreatMissingData"] == "notBreaching", name


def test_the_alarms_on_ticks_and_on_the_api_are_rates() -> None:
    alarms = resources(transformed(), "AWS::CloudWatch::Alarm")
    assert alarms["ApiErrors"]["Properties"]["Statistic"] == "Average"  # of one 0 or 1 a request
    for name, part in (("FailedTicks", "TicksFailed"), ("SkippedTicks", "TicksSkipped")):
        metrics = alarms[name]["Properties"]["Metrics"]
        read = {metric["MetricStat"]["Metric"]["MetricName"] for metric in metrics if "MetricStat" in metric}
        assert read == {part, "UsersTicked"}


# The API ------------------------------------------------------------------------------------------------------


def test_the_api_has_one_stage_which_is_limited_and_logged() -> None:
    template = transformed()
    [stage] = resources(template, "AWS::ApiGateway::Stage").values()
    assert stage["Properties"]["StageName"] == "live"
    [everything] = stage["Properties"]["MethodSettings"]
    assert everything["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert "DestinationArn" in stage["Properties"]["AccessLogSetting"]
    [deployment] = resources(template, "AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment["Properties"], "it would make a second stage, without limits and logs"


def test_every_route_about_a_user_is_authorised_and_only_those_are_not_that_say_nothing_of_one() -> None:
    [api] = resources(transformed(), "AWS::ApiGateway::RestApi").values()
    body = api["Properties"]["Body"]
    [authorizer] = body["components"]["securitySchemes"].values()
    assert authorizer["x-amazon-apigateway-authorizer"]["type"] == "cognito_user_pools"
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if method == "options":
                assert "security" not in operation
            else:
                assert (operation.get("security") == [{"Token": []}]) is path.startswith("/api/me/"), (method, path)


# Who may do what ----------------------------------------------------------------------------------------------


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy that a role or a policy of the template has, by logical id."""
    for name, role in resources(template, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            yield from ((name, statement) for statement in policy["PolicyDocument"]["Statement"])
    for name, policy in resources(template, "AWS::IAM::ManagedPolicy").items():
        yield from ((name, statement) for statement in policy["Properties"]["PolicyDocument"]["Statement"])


def actions(statement: dict[str, Any]) -> list[str]:
    found: str | list[str] = statement["Action"]
    return [found] if isinstance(found, str) else found


def test_every_function_has_a_role_of_its_own() -> None:
    functions = resources(transformed(), "AWS::Lambda::Function")
    roles = {function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions.values()}
    assert len(roles) == len(functions) == FUNCTIONS + 1
    assert functions.keys() > {DEPLOYS}
    assert roles <= set(resources(transformed(), "AWS::IAM::Role"))


def test_nothing_may_be_done_to_everything_but_what_takes_no_resource() -> None:
    without_resource = re.compile(r"xray:Put\w+|logs:(\w+LogDeliver(y|ies)|PutResourcePolicy|Describe\w+)")
    found = list(statements(transformed()))
    assert len(found) > 30
    for name, statement in found:
        for action in actions(statement):
            assert "*" not in action, name
            if statement["Resource"] == "*":
                assert without_resource.fullmatch(action), (name, action)


def test_functions_use_a_network_only_where_there_is_one_and_no_queue_but_their_own() -> None:
    template = transformed()
    functions = resources(template, "AWS::Lambda::Function")
    in_network = {
        function["Properties"]["Role"]["Fn::GetAtt"][0]
        for function in functions.values()
        if "VpcConfig" in function["Properties"]
    }
    for function in functions.values():
        name = function["Properties"]["Role"]["Fn::GetAtt"][0]
        managed = template["Resources"][name]["Properties"]["ManagedPolicyArns"]
        network = [policy for policy in managed if policy != {"Ref": "ObservePolicy"}]
        assert bool(network) is (name in in_network), name
        for policy in network:
            condition, arn, otherwise = policy["Fn::If"]
            assert (condition, otherwise) == ("Egress", {"Ref": "AWS::NoValue"})
            assert arn["Fn::Sub"].endswith("service-role/AWSLambdaENIManagementAccess")
    on_queues = {
        (name, str(statement["Resource"]))
        for name, statement in statements(template)
        if any(action.startswith("sqs:") for action in actions(statement))
    }
    ticks, deliveries, dead = (
        str({"Fn::GetAtt": [name, "Arn"]}) for name in ("TickQueue", "DeliveryQueue", "DeliveryDeadLetters")
    )
    assert on_queues == {
        ("WorkRole", ticks),
        ("DispatchRole", ticks),
        ("AccountRole", deliveries),
        ("CollectRole", f"[{deliveries}, {dead}]"),
        ("DueRole", deliveries),
        ("DeliverRole", deliveries),
    }


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("", True),
        ("https://testnet.binance.vision", True),
        ("http://127.0.0.1:9000", True),
        ("http://testnet.binance.vision", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("https://you@example.com", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_no_exchange_is_reached_unencrypted(address: str, accepted: bool) -> None:
    pattern = transformed()["Parameters"]["ExchangeBaseUrl"]["AllowedPattern"]
    assert (re.fullmatch(pattern, address) is not None) is accepted


def test_the_key_of_keys_is_used_with_a_user_and_an_exchange_or_channel_only() -> None:
    using = [
        (name, statement)
        for name, statement in statements(transformed())
        if any(action.startswith("kms:") for action in actions(statement))
    ]
    bound_to = {
        "shard": {"kms:EncryptionContext:shard": "false"},
        "channel": {"kms:EncryptionContext:user_id": "false", "kms:EncryptionContext:channel": "false"},
    }
    found = {
        (name, part, *sorted(actions(statement)))
        for name, statement in using
        for part, bound in bound_to.items()
        if statement["Condition"]["Null"] == bound
    }
    assert len(found) == len(using)
    assert found == {
        ("PlanRole", "shard", "kms:Decrypt"),
        ("ExecuteRole", "shard", "kms:Decrypt"),
        ("WorkRole", "shard", "kms:Decrypt"),
        ("AccountRole", "shard", "kms:Decrypt", "kms:GenerateDataKey"),
        ("AccountRole", "channel", "kms:Encrypt"),
        ("DeliverRole", "channel", "kms:Decrypt"),
    }


def test_what_is_kept_is_kept_only_once_it_was_made() -> None:
    """A first deployment that fails leaves nothing behind that the next one would trip over."""
    template = transformed()
    policies = {
        name: resource.get("DeletionPolicy")
        for name, resource in template["Resources"].items()
        if resource["Type"] not in {"AWS::Lambda::Version", "AWS::Lambda::LayerVersion"}
    }
    assert set(policies.values()) == KEPT
    kept = {name for name, policy in policies.items() if policy == "RetainExceptOnCreate"}
    assert {"Users", "CredentialsKey", "StrategiesTable", "OrdersTable", "CredentialsTable"} <= kept
    for name in kept:
        assert template["Resources"][name]["UpdateReplacePolicy"] == "Retain", name


# Signing in ---------------------------------------------------------------------------------------------------


def test_people_sign_in_by_mail_address_in_any_case_and_get_a_forgotten_password_anew() -> None:
    [pool] = resources(transformed(), "AWS::Cognito::UserPool").values()
    properties = pool["Properties"]
    assert properties["UsernameAttributes"] == ["email"]
    assert properties["UsernameConfiguration"] == {"CaseSensitive": False}
    assert properties["AutoVerifiedAttributes"] == ["email"]
    [recovery] = properties["AccountRecoverySetting"]["RecoveryMechanisms"]
    assert recovery["Name"] == "verified_email"
    assert properties["MfaConfiguration"] == "OPTIONAL"


def test_a_page_signs_in_with_a_code_and_without_a_secret() -> None:
    [client] = resources(transformed(), "AWS::Cognito::UserPoolClient").values()
    properties = client["Properties"]
    assert properties["GenerateSecret"] is False
    assert properties["AllowedOAuthFlows"] == ["code"]
    assert properties["CallbackURLs"] == properties["LogoutURLs"]
    condition, with_the_dashboard, without = properties["CallbackURLs"]["Fn::If"]
    assert (condition, without) == ("Web", {"Ref": "SignInCallbackUrls"})
    assert "https://${WebDistribution.DomainName}/" in str(with_the_dashboard)
    [domain] = resources(transformed(), "AWS::Cognito::UserPoolDomain").values()
    assert domain["Properties"]["ManagedLoginVersion"] == 2


def test_tokens_live_for_an_hour_and_what_makes_new_ones_can_be_revoked() -> None:
    [client] = resources(transformed(), "AWS::Cognito::UserPoolClient").values()
    properties = client["Properties"]
    lifetimes = {
        token: (properties[f"{token}Validity"], properties["TokenValidityUnits"][token])
        for token in ("AccessToken", "IdToken", "RefreshToken")
    }
    assert lifetimes == {"AccessToken": (60, "minutes"), "IdToken": (60, "minutes"), "RefreshToken": (30, "days")}
    assert properties["EnableTokenRevocation"] is True


def test_the_stage_names_the_clients_whose_tokens_are_taken_and_a_pool_of_yours_has_to_have_some() -> None:
    template = transformed()
    [stage] = resources(template, "AWS::ApiGateway::Stage").values()
    ours, theirs = {"Ref": "UsersClient"}, {"Ref": "ExistingUserPoolClients"}
    assert stage["Properties"]["Variables"] == {CLIENTS_VARIABLE: {"Fn::If": ["OwnUserPool", ours, theirs]}}
    [rule] = template["Rules"].values()
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExistingUserPoolArn"}, ""]}]}
    [assertion] = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExistingUserPoolClients"}, ""]}]}


def test_no_resource_needs_itself() -> None:
    """The linter, which reads the template as it is written, is told not to look for that."""
    made = transformed()["Resources"]
    needs = {name: find_names(resource) & made.keys() for name, resource in made.items()}
    assert "UsersClient" in needs["ApiliveStage"]
    TopologicalSorter(needs).prepare()


def find_names(value: Any) -> set[str]:
    """Whatever a part of the template names: resources, parameters and attributes."""
    if isinstance(value, dict):
        own = [value[key] for key in ("Ref", "Fn::GetAtt", "Fn::Sub", "DependsOn") if key in value]
        words = {word for text in own for word in re.findall(r"\w+", str(text))}
        return words.union(*(find_names(part) for part in value.values()))
    return set().union(*(find_names(part) for part in value)) if isinstance(value, list) else set()


def test_nobody_signs_up_unless_that_is_said() -> None:
    template = transformed()
    assert template["Parameters"]["SelfSignUp"]["Default"] == "false"
    [pool] = resources(template, "AWS::Cognito::UserPool").values()
    invited_only = pool["Properties"]["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"]
    assert invited_only == {"Fn::If": ["InvitedOnly", True, False]}
    assert template["Conditions"]["InvitedOnly"] == {"Fn::Equals": [{"Ref": "SelfSignUp"}, "false"]}


# Concurrency --------------------------------------------------------------------------------------------------


def test_workers_and_dispatch_have_functions_of_their_own_where_that_is_wanted() -> None:
    template = transformed()
    reserved = {
        name: function["Properties"]["ReservedConcurrentExecutions"]
        for name, function in resources(template, "AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in function["Properties"]
    }
    nothing = {"Ref": "AWS::NoValue"}
    assert reserved == {
        "WorkFunction": {"Fn::If": ["Reserve", {"Ref": "WorkConcurrency"}, nothing]},
        "DispatchFunction": {"Fn::If": ["Reserve", 2, nothing]},
    }
    [source] = [
        each["Properties"]["ScalingConfig"]["MaximumConcurrency"]
        for each in resources(template, "AWS::Lambda::EventSourceMapping").values()
        if each["Properties"]["FunctionName"] == {"Ref": "WorkFunctionAliaslive"}
    ]
    assert source == {"Ref": "WorkConcurrency"}
    assert template["Conditions"]["Reserve"] == {"Fn::Equals": [{"Ref": "ReserveConcurrency"}, "true"]}


# The queue ----------------------------------------------------------------------------------------------------


def test_a_tick_is_received_once_and_then_kept_long_enough_to_reach_the_dead_letters() -> None:
    queue = resources(transformed(), "AWS::SQS::Queue")["TickQueue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 1
    assert queue["MessageRetentionPeriod"] >= 1800 > 2 * queue["VisibilityTimeout"]
