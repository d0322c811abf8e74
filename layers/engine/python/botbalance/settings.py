"""Every environment variable, validated once, on first use. No other module reads the environment."""

import os
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from botbalance.errors import SettingsError

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")]
Host = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+/?$")]
"""A URL without a path."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts to which requests may go unencrypted: they never leave this machine."""
_DOCKER_DESKTOP = "host.docker.internal"
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/*]+$")]


class Settings(BaseModel):
    """What the template tells a function. Names are those of the environment variables, in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    strategies_table: str
    orders_table: str
    decisions_table: str
    credentials_table: str
    cache_table: str
    accounts_table: str
    operator_table: str
    activity_table: str
    history_table: str
    paper_table: str
    notifications_table: str
    tick_queue_url: Url = ""
    delivery_queue_url: Url = ""
    user_pool_id: str = ""
    """The user pool in which users sign in."""
    credentials_key_id: str = ""
    """The KMS key that encrypts users' exchange keys."""

    dynamodb_endpoint: Host | None = None
    """Another DynamoDB than AWS's own, as a URL; likewise for the others."""
    sqs_endpoint: Host | None = None
    kms_endpoint: Host | None = None
    ses_endpoint: Host | None = None
    cognito_endpoint: Host | None = None
    exchange_base_url: Host | None = None
    """A simulated exchange's REST address, in place of the exchange's own; https, or on this machine."""
    simulated_exchange: str = ""
    """The exchange for which that stands in; empty: the one that the simulated exchange here is like."""
    exchange_timeout_s: float = Field(default=10, gt=0, le=10)
    """Seconds that an exchange has for an answer; an order without one is looked up, never sent again."""

    notification_email_from: str = ""
    """From which address users are sent mail; empty: they are sent none."""
    notification_loopback: bool = False
    """Whether messages may go to this machine itself: only ever where everything runs on one."""
    telegram_base_url: Host = "https://api.telegram.org"

    egress_address: str = ""
    """The one address from which exchanges see this, where it is fixed."""
    cors_origin: Origin | Literal["none"] = "none"
    """The origin of a web page that may call the API: https://app.example.com."""

    user_requests_per_minute: int = Field(default=300, ge=10, le=1_000_000)
    """Requests that a user may send to the API in a clock minute; one that may change something counts for ten."""

    pricing_source: Literal["last", "mid"] = "last"
    pricing_use_cache: bool = True
    pricing_ttl: int = Field(default=5, ge=1, le=10)
    """Seconds for which a cached price may size an order."""

    market_rules_ttl: int = Field(default=3600, ge=60, le=86_400)
    """Seconds for which cached market rules hold."""

    price_jump_pct: Decimal = Field(default=Decimal(10), gt=0, le=1000)
    """By how many percent a price may move between two looks before it has to be seen again."""

    portfolio_max_age: int = Field(default=3600, ge=0, le=3600)
    """Seconds after which an account is looked at again although nothing can have happened; 0: at every tick."""
    decision_log: Literal["every", "changes"] = "every"
    """Whether ticks that changed nothing are logged, too."""
    decision_ttl_days: int = Field(default=90, ge=1, le=3650)
    """Days for which a decision stays in the log that placed, cancelled or left out something."""
    noop_decision_ttl_days: int = Field(default=14, ge=1, le=3650)
    """Days for which another one does: nearly all are such, and take most of what is stored."""

    dispatch_chunk: int = Field(default=20, ge=1, le=500)
    """Users in one message to the workers."""
    dispatch_threads: int = Field(default=8, ge=1, le=64)
    """Shards of the autopilot's index that dispatch reads at a time, and requests to the queue that it sends."""
    work_threads: int = Field(default=8, ge=1, le=64)
    """Users that one worker ticks at a time."""

    aws_sam_local: bool = False
    """Whether the SAM CLI runs this in a container, from where this machine's own services have another address."""

    @property
    def plain_http_hosts(self) -> frozenset[str]:
        """Hosts to which requests with keys may go unencrypted."""
        stand_in = urlsplit(self.exchange_base_url or "").hostname
        if self.aws_sam_local and stand_in is not None and _is_of_this_machine(stand_in):
            return LOOPBACK_HOSTS | {stand_in}
        return LOOPBACK_HOSTS

    @model_validator(mode="after")
    def _require_encryption(self) -> Self:
        """Keys and signed orders go to the exchange's address: nobody on the way may read them."""
        url = urlsplit(self.exchange_base_url or "")
        if url.scheme == "http" and url.hostname not in self.plain_http_hosts:
            raise PydanticCustomError("plain_http", "expected https, or http to 127.0.0.1")
        return self


def _is_of_this_machine(host: str) -> bool:
    """Whether a container reaches the machine that it runs on by ``host``."""
    try:
        return host == _DOCKER_DESKTOP or ip_address(host).is_private
    except ValueError:
        return False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in ``environment``, where an empty variable counts as not set.

    Raises SettingsError, naming each variable that is wrong.
    """
    try:
        return Settings.model_validate({name.lower(): value for name, value in environment.items() if value})
    except ValidationError as error:
        raise SettingsError("; ".join(map(_sentence, error.errors()))) from None


def _sentence(detail: ErrorDetails) -> str:
    """What is wrong with one variable."""
    name = ".".join(map(str, detail["loc"])).upper()
    match detail["type"]:
        case "missing":
            return f"{name} is not set"
        case "plain_http":
            return f"EXCHANGE_BASE_URL is {detail['input']['exchange_base_url']!r}: {detail['msg']}"
        case _:
            return f"{name} is {detail.get('input')!r}: {detail['msg']}"


@cache
def settings() -> Settings:
    """The settings of this process."""
    return read_settings(os.environ)
