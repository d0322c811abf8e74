"""`botbalance notifications`, and a run that tells what happens to it."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from tests.fixtures.running import running_webhook
from workbench.cli import app as cli
from workbench.local.stack import Options, Stack

Received = list[tuple[dict[str, str], str]]


@pytest.fixture(scope="module")
def received() -> Iterator[tuple[str, Received]]:
    """A webhook's URL, and what it was sent."""
    messages: Received = []

    with running_webhook(lambda _path, headers, body: messages.append((dict(headers), body))) as url:
        yield f"{url}/", messages


@pytest.fixture(scope="module")
def stack(received: tuple[str, Received]) -> Iterator[Stack]:
    with Stack(Options(seed=3, notify=received[0])) as started:
        yield started


@pytest.fixture
def command(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["botbalance", "notifications", *arguments])
        monkeypatch.setenv("BOTBALANCE_URL", stack.url)
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        assert not ended.value.code, output.err
        return output.out

    return run


def test_a_run_with_a_url_tells_what_happens_signed(stack: Stack, received: tuple[str, Received]) -> None:
    for _ in range(40):  # a tick is half a minute: a quarter of an hour, and two minutes
        stack.tick()
    kinds = [json.loads(body)["type"] for _, body in received[1]]
    assert "autopilot.enabled" in kinds
    assert "order.filled" in kinds
    assert stack.signing_secret is not None
    signer = Webhook(stack.signing_secret)
    for headers, body in received[1]:
        _, signature = headers["webhook-signature"].split(",")
        assert signature
        assert signer.sign(headers["webhook-id"], moment(headers), body) == headers["webhook-signature"]
    ids = [headers["webhook-id"] for headers, _ in received[1]]
    assert len(ids) == len(set(ids))


def moment(headers: dict[str, str]) -> datetime:
    """When a message was signed."""
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)


def test_channels_are_shown_set_up_tried_and_forgotten(
    received: tuple[str, Received], command: Callable[..., str]
) -> None:
    assert "webhook" in command("show")
    assert "whsec_" in command("set", "webhook", "--to", f"{received[0]}again")
    told = command("tell", "--fills", "off", "--quiet", "22-7", "--time-zone", "Europe/Berlin", "--digest-hour", "9")
    assert "fills off" in told
    assert "quiet hours 22-7" in told
    command("test")
    assert "This is a test" in command("deliveries")
    found = json.loads(command("deliveries", "--json"))["deliveries"]
    assert [one["state"] for one in found if one["kind"] == "test"] == ["sent"]
    assert "quiet hours none" in command("tell", "--quiet", "none")
    assert "Nobody is told" in command("remove", "webhook")
    assert "Nobody is told" in command("off")
