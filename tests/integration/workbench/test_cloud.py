"""The process of AWS's services: it answers on loopback only, and lives as long as who started it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botbalance.errors import TransientError

from tests.fixtures.running import running_emulator
from workbench.aws.emulator import AwsEmulator

LONGEST_S = 20
NOBODY: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
STARTS_A_CLOUD = """
import sys
from workbench.aws.emulator import AwsEmulator
cloud = AwsEmulator()
url = cloud.start()
cloud.wait()
print(url, flush=True)
sys.stdin.read()
"""
WAITS_FOR_A_CTRL_C = STARTS_A_CLOUD.replace(
    "print(url", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); print(url"
).replace("sys.stdin.read()", "signal.sigwait({signal.SIGINT}); print('interrupted', flush=True); sys.stdin.read()")
"""The signal is blocked before anybody is told to send it, then waited for: none is lost."""


@pytest.fixture
def url() -> Iterator[str]:
    with running_emulator() as url:
        yield url


@contextmanager
def started(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has started a cloud, in a process group of its own, as a terminal would start it."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        yield process
        process.kill()


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with started(STARTS_A_CLOUD) as process:
        yield process


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answers(url: str) -> bool:
    try:
        requests.get(url, timeout=LONGEST_S)
    except requests.ConnectionError:
        return False
    return True


def is_gone(url: str) -> bool:
    deadline = time.monotonic() + LONGEST_S
    while answers(url):
        if time.monotonic() > deadline:
            return False
    return True


def test_the_three_services_answer(url: str) -> None:
    assert urlsplit(url).hostname == "127.0.0.1"
    with closing(boto3.client("dynamodb", endpoint_url=url, **NOBODY)) as dynamodb:
        assert dynamodb.list_tables()["TableNames"] == []
    with closing(boto3.client("sqs", endpoint_url=url, **NOBODY)) as sqs:
        assert sqs.create_queue(QueueName="things")["QueueUrl"].startswith(f"{url}/")
    with closing(boto3.client("kms", endpoint_url=url, **NOBODY)) as kms:
        assert kms.create_key()["KeyMetadata"]["Enabled"]


def test_no_other_service_runs_and_what_is_set_for_other_ministacks_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"SERVICES": "s3", "BIND_HOST": "0.0.0.0", "GATEWAY_PORT": "1", "AUTH": "true"}.items():
        monkeypatch.setenv(name, value)
    with running_emulator() as url:
        found = requests.get(f"{url}/_ministack/health", timeout=LONGEST_S).json()
    assert set(found["services"]) == {"dynamodb", "sqs", "kms"}
    assert found["auth"] == "disabled"


def test_two_at_once_share_nothing(url: str) -> None:
    with running_emulator() as other_url, closing(boto3.client("sqs", endpoint_url=other_url, **NOBODY)) as other:
        other.create_queue(QueueName="things")
        with closing(boto3.client("sqs", endpoint_url=url, **NOBODY)) as sqs:
            assert not sqs.list_queues().get("QueueUrls")


def test_after_stop_nobody_answers_and_stop_again_does_nothing() -> None:
    cloud = AwsEmulator()
    url = cloud.start()
    cloud.wait()
    cloud.stop()
    assert not answers(url)
    cloud.stop()
    with pytest.raises(RuntimeError, match="not been started"):
        cloud.wait()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(parent: subprocess.Popen[str], sent: signal.Signals) -> None:
    url = read_line(parent)
    assert answers(url)
    parent.send_signal(sent)
    parent.wait(LONGEST_S)
    assert is_gone(url)


def test_a_ctrl_c_in_the_terminal_is_for_its_parent() -> None:
    with started(WAITS_FOR_A_CTRL_C) as parent:
        url = read_line(parent)
        os.killpg(parent.pid, signal.SIGINT)
        assert read_line(parent) == "interrupted"
        assert answers(url)


@pytest.mark.parametrize("python", ["/nowhere/python", shutil.which("false")])
def test_one_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch, python: str) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(TransientError, match="embedded AWS services cannot be started"), running_emulator():
        pass


def test_what_it_died_of_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho first >&2\necho 'the disk is full' >&2\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(TransientError, match="the disk is full"), running_emulator():
        pass
