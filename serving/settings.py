"""What can be set about the service: one typed value object, and how worker processes inherit it.

Belongs here: limits, shares and intervals, each with its meaning. Does not belong here: anything that changes what a
release recommends (`recommender.parameters`).

Plain pydantic, not pydantic-settings: one variable that holds JSON is read in two lines, and the server has to hand the
whole object to its workers anyway.
"""

import os
import secrets
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recommender.errors import UsageError

SETTINGS_VARIABLE = "MARQUEE_SERVING_SETTINGS"
"""Environment variable with settings as JSON; the server hands its worker processes theirs in it."""


def new_deployment() -> str:
    """Name for one start of the service: when, and something random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


class ServingSettings(BaseModel):
    """Settings of one deployment. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: str = Field(
        default_factory=new_deployment,
        description="Names this start of the service in every answer; all workers share it.",
    )
    engine: Literal["auto", "exact", "annoy"] = Field(
        default="auto",
        description="Engine of /recommend where a request names none; auto is exact while comparing all users is fast "
        "enough, else annoy.",
    )
    exact_up_to_likes: int = Field(
        default=3_000_000, ge=0, description="Likes up to which auto means exact: there it stays below 10 ms."
    )
    poll_seconds: float = Field(default=0.5, gt=0.0, description="How often the published links are looked at.")
    store: str = Field(
        default="",
        description="Address of the store that releases come from (`marquee serve --from`); empty: those of the home.",
    )
    store_seconds: float = Field(default=5.0, gt=0.0, description="How often the pointer of the store is looked at.")
    cache_bytes: int = Field(
        default=20_000_000_000,
        ge=1,
        description="Bytes that releases fetched from a store may take: the live one, the one before and the next one.",
    )
    cached_answers: int = Field(default=4096, ge=0, description="Answers kept per release and process.")
    rate_per_second: float = Field(
        default=50.0, gt=0.0, description="Requests a second one remote address may make on average."
    )
    rate_burst: int = Field(default=200, ge=1, description="Requests one remote address may make at once.")
    require_keys: bool | None = Field(
        default=None,
        description="Whether questions and events need a key (`marquee keys`); null: on every address but loopback.",
    )
    key_rate_per_second: float = Field(
        default=500.0,
        gt=0.0,
        description="Requests a second a key may make on average, where it has no number of its own; at once, those of "
        "four seconds. Requests with a key are not limited by address.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; with a proxy on "
        'this machine ["127.0.0.1"], else its visitors count as loopback and are not limited.',
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=("127.0.0.1", "localhost", "::1"),
        description="Names the service answers to (the Host header, without port), beside the address it is bound to; "
        '["*"] for any. A page elsewhere can otherwise reach it under a name of its own (DNS rebinding).',
    )
    request_seconds: float = Field(
        default=20.0, gt=0.0, description="Time to send a whole request; a connection that takes longer is closed."
    )
    limit_loopback: bool = Field(
        default=False,
        description="Whether the rate limit also holds for loopback addresses, which are the operator's own: a proxy, "
        "a load test.",
    )
    waiting_answers: int = Field(
        default=512, ge=1, description="Live recommendations that may wait in a process before more are rejected."
    )
    most_target_bytes: int = Field(default=8_192, ge=256, description="Longest path with query string.")
    most_header_bytes: int = Field(default=32_768, ge=1024, description="Most bytes of headers.")
    most_event_bytes: int = Field(default=1_048_576, ge=1024, description="Most bytes of a body of /events.")
    waiting_events: int = Field(
        default=256, ge=1, description="Requests with events that may wait for the disk in a process; more are refused."
    )
    seal_seconds: float = Field(
        default=60.0, gt=0.0, description="Age of the oldest event at which events move to files, few as they may be."
    )
    request_log: bool = Field(default=True, description="Whether answers are written to the home's requests folder.")
    log_rows: int = Field(default=4096, ge=1, description="Rows of a file of the request log at most.")
    log_seconds: float = Field(default=60.0, gt=0.0, description="Age at which a shorter file is written.")
    log_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="Bytes of unloaded log files at which new rows are dropped (and counted) instead of written.",
    )


def settings_from_environment() -> ServingSettings:
    """Read the settings a server left for its workers; the defaults without any.

    Raises
    ------
    UsageError
        Naming the setting that is unknown or out of range.
    """
    text = os.environ.get(SETTINGS_VARIABLE)
    try:
        return ServingSettings.model_validate_json(text) if text else ServingSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the whole"
        raise UsageError(f"{SETTINGS_VARIABLE}: {name}: {first['msg']}; see serving/settings.py") from None
