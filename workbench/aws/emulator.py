"""AWS's services on this machine: MiniStack in a process of its own, which shares no Python lock with its clients."""

import os
import socket
import subprocess  # nosec B404  # programs named here, by lists of arguments, without a shell
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import requests
from botbalance.errors import TransientError

LOOPBACK = "127.0.0.1"
SERVICES = ("dynamodb", "sqs", "kms")
_MAIN = Path(__file__).with_name("emulator_main.py")
_HEALTH_PATH = "/_ministack/health"
_LONGEST_START_S = 30
_WAITING_CONNECTIONS = 128
_KEPT_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")
"""And no others: nothing that is set for another MiniStack changes what this one does."""


class AwsEmulator:
    """DynamoDB, SQS and KMS at ``host``, on any free port; what they hold is gone with the process.

    ``whole`` means all of AWS's services, and every header of their answers.

    The process ends with this one, also where this one is killed. It is in a session of its own: a Ctrl-C in the
    terminal is for this process, which needs it until the tick under way has ended.

    Example:
        cloud = AwsEmulator()
        url = cloud.start()
        cloud.wait()
        boto3.client("dynamodb", endpoint_url=url)
        cloud.stop()
    """

    def __init__(self, host: str = LOOPBACK, *, whole: bool = False) -> None:
        self._host = host
        self._whole = whole
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._url = ""

    def start(self) -> str:
        """Start the process; returns where everything will answer, without a trailing slash.

        Raises TransientError where that cannot be.
        """
        self._errors = TemporaryFile()  # noqa: SIM115 - closed in stop()
        with socket.socket() as listening:  # bound here, so that no one else can take the port in between
            try:
                listening.bind((self._host, 0))
                listening.listen(_WAITING_CONNECTIONS)
                port = listening.getsockname()[1]
                self._process = subprocess.Popen(  # noqa: S603  # nosec B603  # this Python and a file of ours
                    [sys.executable, "-P", str(_MAIN), str(listening.fileno()), *(["--whole"] if self._whole else [])],
                    env=_environment(self._host, port, () if self._whole else SERVICES),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    pass_fds=[listening.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise _cannot_start(str(error)) from error
        self._url = f"http://{self._host}:{port}"
        return self._url

    def wait(self) -> None:
        """Return once everything answers; raises TransientError where the process has ended or does not answer."""
        if self._process is None or self._errors is None:
            raise RuntimeError("the cloud has not been started")
        try:
            requests.get(self._url + _HEALTH_PATH, timeout=_LONGEST_START_S).raise_for_status()
        except requests.RequestException as error:
            self._errors.seek(0)
            last_words = self._errors.read().decode(errors="replace").splitlines()[-1:]
            raise _cannot_start("".join(last_words) or str(error)) from error

    def stop(self) -> None:
        """End the process; does nothing where none is running."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _environment(host: str, port: int, services: Sequence[str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "MINISTACK_HOST": host,
        "GATEWAY_PORT": str(port),
        "SERVICES": ",".join(services),
        "LOG_LEVEL": "ERROR",
        # Otherwise it opens ports beyond loopback, and removes the containers of other MiniStacks.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nowhere",
    }


def _cannot_start(why: str) -> TransientError:
    return TransientError("aws_emulator", f"the embedded AWS services cannot be started: {why}")
