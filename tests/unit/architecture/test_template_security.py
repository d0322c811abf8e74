"""What the template promises of itself: who may do what, what is encrypted and kept, who is called when it fails."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botbalance.models.activity import ActivityKind
from botbalance.notifications import rules
from botbalance.notifications.deliver import SENDING_FOR_S
from botbalance.notifications.https import CONNECT_S, TOTAL_S

from workbench.aws.template import Template, read_template

ROOT = Path(__file__).parents[3]
TABLES = "AWS::DynamoDB::Table"
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
KEPT_FOR_EVER = {
    "StrategiesTable",
    "OrdersTable",
    "DecisionsTable",
    "CredentialsTable",
    "AccountsTable",
    "OperatorTable",
    "ActivityTable",
    "HistoryTable",
    "PaperTable",
    "NotificationsTable",
}
NOTIFYING = {"CollectFunction", "DueFunction", "DeliverFunction"}
"""Who tell users, and trade nothing."""
LOG_DELIVERY = re.compile(r"logs:(\w+LogDeliver(y|ies)|PutResourcePolicy|DescribeResourcePolicies|DescribeLogGroups)")


@pytest.fixture(scope="module")
def template() -> Template:
    return read_template()


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action that a role or state machine may take, with the logical id (or ``*``) that it may take it on."""
    for policy in properties.get("Policies", []):
        for statement in policy.get("PolicyDocument", policy)["Statement"]:
            assert statement["Effect"] == "Allow"
            for resource in listed(statement["Resource"]):
                target = resource if isinstance(resource, str) else next(iter(resource.values()))
                if isinstance(target, list):  # one of two: the user pool, ours or theirs
                    assert target[1:] == [{"Fn::GetAtt": "Users.Arn"}, {"Ref": "ExistingUserPoolArn"}]
                    target = "Users"
                name = re.sub(r"^\$\{|[.}].*$", "", target)
                for action in listed(statement["Action"]):
                    yield action, name


def granted_to(template: Template, function: str) -> set[tuple[str, str]]:
    """What a function may do by itself; what all may, write the log and traces, is not in it."""
    role = template.functions()[function]["Role"]["Fn::GetAtt"].partition(".")[0]
    return set(grants(template.resources("AWS::IAM::Role")[role]))


def writes_to(template: Template, function: str) -> set[str]:
    """The tables that a function may write."""
    return {
        name
        for action, name in granted_to(template, function)
        if action.startswith("dynamodb:") and action.removeprefix("dynamodb:") in WRITES
    }


def test_nobody_has_a_star_on_data(template: Template) -> None:
    granted = [
        grant
        for kind in ("AWS::IAM::Role", "AWS::Serverless::StateMachine")
        for properties in template.resources(kind).values()
        for grant in grants(properties)
    ]
    assert len(granted) > 30
    for action, name in granted:
        assert "*" not in action
        # Step Functions' log deliveries are the one thing that takes no resource.
        assert name != "*" or LOG_DELIVERY.fullmatch(action), action


def test_every_grant_is_on_a_resource_of_the_template(template: Template) -> None:
    for function in template.functions():
        for _, name in granted_to(template, function):
            assert name in template.logical_ids()


def test_plan_reads_and_decrypts_but_writes_nothing_except_the_cache(template: Template) -> None:
    assert writes_to(template, "PlanFunction") == {"CacheTable"}
    actions = {action for action, _ in granted_to(template, "PlanFunction")}
    assert "kms:Decrypt" in actions
    assert "kms:Encrypt" not in actions


def test_dispatch_sees_no_keys_and_writes_nothing(template: Template) -> None:
    assert granted_to(template, "DispatchFunction") == {
        ("dynamodb:GetItem", "OperatorTable"),
        ("dynamodb:Query", "StrategiesTable"),
        ("dynamodb:Scan", "OrdersTable"),  # whose orders rest, while trading is halted for everybody
        ("sqs:SendMessage", "TickQueue"),
    }


def test_only_the_account_function_stores_keys(template: Template) -> None:
    for name in template.functions():
        granted = granted_to(template, name)
        stores = {("dynamodb:PutItem", "CredentialsTable"), ("kms:Encrypt", "CredentialsKey")} & granted
        assert bool(stores) is (name == "AccountFunction"), name
        if name not in {"AccountFunction", "LeaversFunction"}:
            assert "CredentialsTable" not in writes_to(template, name), name


def test_who_looks_for_users_that_left_may_delete_keys_and_read_none_and_trades_nothing(template: Template) -> None:
    assert granted_to(template, "LeaversFunction") == {
        ("cognito-idp:ListUsers", "Users"),
        ("dynamodb:GetItem", "StrategiesTable"),
        ("dynamodb:PutItem", "StrategiesTable"),
        ("dynamodb:Query", "StrategiesTable"),
        ("dynamodb:Scan", "CredentialsTable"),
        ("dynamodb:GetItem", "CredentialsTable"),
        ("dynamodb:BatchGetItem", "CredentialsTable"),
        ("dynamodb:UpdateItem", "CredentialsTable"),
        ("dynamodb:DeleteItem", "CredentialsTable"),
        ("dynamodb:Query", "OrdersTable"),
        ("dynamodb:GetItem", "AccountsTable"),
        ("dynamodb:UpdateItem", "AccountsTable"),
        ("dynamodb:PutItem", "ActivityTable"),
        ("dynamodb:BatchGetItem", "CacheTable"),
    }
    schedule = template.functions()["LeaversFunction"]["Events"]["EveryDay"]["Properties"]
    assert schedule["Schedule"] == "cron(10 3 * * ? *)"


def test_only_those_who_trade_write_orders(template: Template) -> None:
    trading = {name for name in template.functions() if "OrdersTable" in writes_to(template, name)}
    assert trading == {"ExecuteFunction", "AccountFunction", "WorkFunction"}


def test_only_a_person_writes_what_the_operator_sets(template: Template) -> None:
    reading = {
        name for name in template.functions() if ("dynamodb:GetItem", "OperatorTable") in granted_to(template, name)
    }
    assert reading == set(template.functions()) - {"ReferenceFunction", "LeaversFunction"} - NOTIFYING
    assert all("OperatorTable" not in writes_to(template, name) for name in template.functions())


def test_the_trail_is_only_ever_appended_to_and_never_expires(template: Template) -> None:
    granted = {
        (name, action)
        for name in template.functions()
        for action, target in granted_to(template, name)
        if target == "ActivityTable"
    }
    following = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}
    assert {action.partition(":")[2] for _, action in granted} == {"PutItem", "Query", *following}
    assert {name for name, action in granted if action.partition(":")[2] in following} == {"CollectFunction"}
    assert {name for name, action in granted if action == "dynamodb:PutItem"} == {
        "ExecuteFunction",
        "AccountFunction",
        "LeaversFunction",
        "WorkFunction",
    }
    table = template.resources(TABLES)["ActivityTable"]
    assert "TimeToLiveSpecification" not in table
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_every_table_is_encrypted_and_can_be_restored(template: Template) -> None:
    for name, table in template.resources(TABLES).items():
        assert table["SSESpecification"]["SSEEnabled"] is True, name
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True, name
        assert table["BillingMode"] == "PAY_PER_REQUEST", name


def test_what_is_kept_for_ever_outlives_the_stack(template: Template) -> None:
    assert set(template.resources(TABLES)) - KEPT_FOR_EVER == {"CacheTable"}
    for name in KEPT_FOR_EVER:
        assert template.resources(TABLES)[name]["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}, name
    for name in {*KEPT_FOR_EVER, "CredentialsKey", "Users"}:
        assert template.retained(name), name


def test_what_expires_does_so_by_itself(template: Template) -> None:
    for name in ("DecisionsTable", "CacheTable", "NotificationsTable"):
        expiry = template.resources(TABLES)[name]["TimeToLiveSpecification"]
        assert expiry == {"AttributeName": "expires_at", "Enabled": True}


def test_the_key_of_keys_rotates(template: Template) -> None:
    assert template.resources("AWS::KMS::Key")["CredentialsKey"]["EnableKeyRotation"] is True


def test_queues_are_encrypted_and_the_one_with_work_has_dead_letters(template: Template) -> None:
    queues = template.resources("AWS::SQS::Queue")
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())
    assert queues["TickQueue"]["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": "TickDeadLetters.Arn"}
    assert queues["TickQueue"]["RedrivePolicy"]["maxReceiveCount"] == 1


def test_the_workers_answer_message_by_message_and_are_bounded(template: Template) -> None:
    work = template.functions()["WorkFunction"]
    source = work["Events"]["Users"]["Properties"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "WorkConcurrency"}
    assert template.resources("AWS::SQS::Queue")["TickQueue"]["VisibilityTimeout"] >= 6 * work["Timeout"]


def test_who_makes_messages_sees_no_addresses_and_who_sends_them_nothing_else(template: Template) -> None:
    for name in ("CollectFunction", "DueFunction"):
        granted = granted_to(template, name)
        assert not any(action.startswith("kms:") for action, _ in granted), name
        assert writes_to(template, name) == {"NotificationsTable"}, name
    assert {name for _, name in granted_to(template, "DeliverFunction")} == {
        "NotificationsTable",
        "CredentialsKey",
        "DeliveryQueue",
    }
    assert {
        name for name in template.functions() if ("sqs:ReceiveMessage", "DeliveryQueue") in granted_to(template, name)
    } == {"DeliverFunction"}


def test_what_is_written_is_told_in_order_and_what_cannot_be_is_kept(template: Template) -> None:
    stream = template.functions()["CollectFunction"]["Events"]["Activity"]["Properties"]
    assert stream["Stream"] == {"Fn::GetAtt": "ActivityTable.StreamArn"}
    assert stream["BisectBatchOnFunctionError"] is True
    assert stream["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": "DeliveryDeadLetters.Arn"}
    [pattern] = stream["FilterCriteria"]["Filters"]
    [left_out] = json.loads(pattern["Pattern"])["dynamodb"]["NewImage"]["action"]["S"]
    assert set(left_out["anything-but"]) <= set(ActivityKind)
    told = {action for action in ActivityKind if action not in left_out["anything-but"]}
    assert told >= set(rules._CHANGES) | {
        ActivityKind.ORDER_FILLED,
        ActivityKind.INCIDENT_OPENED,
        ActivityKind.INCIDENT_RESOLVED,
    }


def test_a_slow_address_holds_up_no_other_message(template: Template) -> None:
    deliver = template.functions()["DeliverFunction"]
    source = deliver["Events"]["Deliveries"]["Properties"]
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    timeout = deliver.get("Timeout", template.function_defaults()["Timeout"])
    queue = template.resources("AWS::SQS::Queue")["DeliveryQueue"]
    assert queue["VisibilityTimeout"] >= 6 * timeout
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": "DeliveryDeadLetters.Arn"}
    assert CONNECT_S + TOTAL_S < timeout < SENDING_FOR_S


def test_every_user_is_authorised_by_the_pool(template: Template) -> None:
    auth = template.resources("AWS::Serverless::Api")["Api"]["Auth"]
    assert auth["Authorizers"][auth["DefaultAuthorizer"]].keys() == {"UserPoolArn"}


def test_the_api_is_throttled_and_logged_without_secrets(template: Template) -> None:
    api = template.resources("AWS::Serverless::Api")["Api"]
    (everything,) = api["MethodSettings"]
    assert (everything["HttpMethod"], everything["ResourcePath"]) == ("*", "/*")
    assert everything["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert not everything.get("DataTraceEnabled", False), "it would log bodies, and with them exchange keys"
    logged = api["AccessLogSetting"]["Format"]
    assert "header" not in logged
    assert "$context.identity.sourceIp" in logged
    assert "$context.identity.userAgent" in logged


def test_every_log_is_kept_for_a_while_only(template: Template) -> None:
    groups = template.resources("AWS::Logs::LogGroup")
    assert len(groups) == 3
    for name, group in groups.items():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


def test_every_alarm_calls_somebody(template: Template) -> None:
    alarms = template.resources("AWS::CloudWatch::Alarm")
    assert len(alarms) >= 10
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Ref": "Alarms"}], name


def test_every_alarm_line_of_the_code_is_counted_once(template: Template) -> None:
    """Some have an alarm of their own; whatever other name a line has, is counted by another."""
    raised = {
        name
        for room in ("layers/engine/python/botbalance", "functions")
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r'\balarm\(\s*"(\w+)"', path.read_text())
    }
    patterns = {
        name: counter["FilterPattern"] for name, counter in template.resources("AWS::Logs::MetricFilter").items()
    }
    others = patterns.pop("OtherAlarmsCounter")
    own = [name for pattern in patterns.values() for name in re.findall(r'\$\.alarm = "(\w+)"', pattern)]
    assert set(own) <= raised
    assert len(set(own)) == len(own)
    assert re.findall(r'\$\.alarm != "(\w+)"', others) == own
    counted = {
        metric["MetricName"]
        for counter in template.resources("AWS::Logs::MetricFilter").values()
        for metric in counter["MetricTransformations"]
    }
    watched = {
        metric["MetricName"]
        for alarm in template.resources("AWS::CloudWatch::Alarm").values()
        for metric in [
            alarm,
            *(part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part),
        ]
        if metric.get("Namespace") == {"Ref": "AWS::StackName"}
    }
    assert counted == watched


def test_every_alarm_line_of_the_code_is_explained() -> None:
    explained = (ROOT / "docs/reliability.md").read_text()
    for room in ("layers/engine/python/botbalance", "functions"):
        for path in (ROOT / room).rglob("*.py"):
            for name in re.findall(r'\balarm\(\s*"(\w+)"', path.read_text()):
                assert f"`{name}`" in explained, name


def test_everything_is_traced_by_the_platform(template: Template) -> None:
    assert template.function_defaults()["Tracing"] == "Active"
    assert template.resources("AWS::Serverless::Api")["Api"]["TracingEnabled"] is True
    assert template.resources("AWS::Serverless::StateMachine")["TickSchedule"]["Tracing"] == {"Enabled": True}


def test_the_alarm_on_errors_watches_every_function(template: Template) -> None:
    summed = {
        metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]
        for metric in template.resources("AWS::CloudWatch::Alarm")["FunctionErrors"]["Metrics"]
        if "MetricStat" in metric
    }
    assert summed == set(template.functions())


def test_all_that_reach_exchanges_do_so_by_the_fixed_address(template: Template) -> None:
    for name, function in template.functions().items():
        without = {"DispatchFunction", "ReferenceFunction", "LeaversFunction", *NOTIFYING}
        assert ("VpcConfig" in function) is (name not in without), name


def test_what_the_gateway_refuses_itself_is_a_problem_document_too(template: Template) -> None:
    [api] = template.resources("AWS::Serverless::Api").values()
    refusals = api["GatewayResponses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "UNAUTHORIZED", "THROTTLED", "MISSING_AUTHENTICATION_TOKEN"} <= set(refusals)
    for name, refusal in refusals.items():
        headers = refusal["ResponseParameters"]["Headers"]
        assert headers["Content-Type"] == "'application/problem+json'", name
        assert headers["Cache-Control"] == "'no-store'", name
        assert headers["X-Request-Id"] == "context.requestId", name
        written = refusal["ResponseTemplates"]["application/json"]
        document = json.loads(
            written.replace("$context.error.responseStatus", "500").replace("$context.error.messageString", '"x"')
        )
        assert set(document) >= {"type", "title", "status", "code", "detail"}, name
    assert json.loads(refusals["THROTTLED"]["ResponseTemplates"]["application/json"])["status"] == 429
    assert refusals["THROTTLED"]["ResponseParameters"]["Headers"]["Retry-After"] == "'1'"


def test_a_web_page_is_let_in_by_name_only_and_asked_for_no_token_beforehand(template: Template) -> None:
    [api] = template.resources("AWS::Serverless::Api").values()
    assert api["Cors"]["AllowOrigin"] == {"Fn::Sub": "'${CorsOrigin}'"}
    assert api["Auth"]["AddDefaultAuthorizerToCorsPreflight"] is False
    methods = {route.method for route in template.routes()}
    assert methods <= set(api["Cors"]["AllowMethods"].strip("'").split(","))
    assert "*" not in api["Cors"]["AllowMethods"] + api["Cors"]["AllowHeaders"]
