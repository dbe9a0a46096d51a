"""The settings of the runtime: read once from the Celery configuration, under the prefix `pollflow_`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from pollflow.amounts import duration, over_limit
from pollflow.errors import ConfigurationError, InvalidArgument
from pollflow.fdl.fields import EVENT_LIMIT, YEAR_SECONDS
from pollflow.machine import Limits
from pollflow.runtime.masking import DEFAULT_MASK, Mask
from pollflow.store import Keys, Timing
from pollflow.suggestions import near

PREFIX = "pollflow_"
MAX_SECONDS = 1_000_000 * 86_400.0
"""The longest time of a setting, so that a date can represent every due time."""
_LOCAL = {"redis_url", "key_prefix"}
_ORDER = (
    ("max_countdown", 2, "sweep_interval", "a long wait is published in time"),
    ("lease", 2, "sweep_interval", "a running call is renewed in time and never repeated"),
    ("max_redelivery_timeout", 1, "redelivery_timeout", "the timeout can double with each lost message"),
)
"""Settings that must be at least so many times another one, each with its reason."""
_LOOK_AHEAD_INTERVALS = 3
"""A wait that was left to the sweep is published so many sweeps before it is due, so that a slow sweep is in time."""
_MAY_BE_ZERO = {"function_grace"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; each is set as `pollflow_NAME` in the Celery configuration. Times are seconds."""

    redis_url: str = field(default="", repr=False)
    """The Redis that keeps the state. The default is `POLLFLOW_REDIS_URL`, else the broker if it is a Redis."""
    key_prefix: str = "pollflow"
    """The prefix of every key."""
    max_countdown: float = 60.0
    """The longest countdown given to Celery. The visibility timeout must be at least twice as long."""
    max_countdown_messages: int = 4_000
    """How many messages with a countdown workers hold in memory, 8.4 KB each; further waits are left to the sweep."""
    redelivery_timeout: float = 2.0
    """How long after its due time a message is published again, if no worker has begun it."""
    max_redelivery_timeout: float = 600.0
    """The redelivery timeout of an entry doubles with each lost message, up to this limit."""
    lease: float = 3.0
    """How long a call may run without a renewal by its worker before it is repeated."""
    sweep_interval: float = 1.0
    """The time between two sweeps, and between two renewals of a worker's leases."""
    sweep_in_workers: bool = True
    """Whether workers sweep. Otherwise beat must schedule the sweep."""
    max_crashes: int = 5
    """How many calls of an attempt may end with their process before the step fails with `FC.Unknown`."""
    max_engine_errors: int = 5
    """How many errors of the engine itself an entry may have before its execution fails with `FnF.RuntimeError`."""
    function_grace: float = 60.0
    """How long a step waits for a worker that has its function, before it fails with `FC.FunctionNotFound`."""
    retention: float = 30.0 * 86_400
    """How long an ended execution is kept."""
    durable: bool = False
    """Whether starts, stops, reports and commits wait until the append-only file of Redis has acknowledged them."""
    max_payload_bytes: int = 32 * 1024
    """The maximum size of a step's input, output and local together, and of an execution's input."""
    max_events: int = EVENT_LIMIT
    """The maximum number of events of an execution."""
    max_definition_bytes: int = 1 << 20
    """The maximum size of a definition, as written and after its aliases are expanded."""
    max_execution_time: float = float(YEAR_SECONDS)
    """The longest time that an execution may run, also without a timeout of its flow."""
    max_wait: float = float(YEAR_SECONDS)
    """The longest wait of a wait step."""
    max_concurrency: int = 100
    """The maximum number of branches or iterations of one step that run at the same time."""
    inline_steps: bool = False
    """Whether steps that call nothing run in the Celery task of the step before them, and are committed with it."""
    mask: tuple[str, ...] = DEFAULT_MASK
    """The names and paths of keys whose values are printed and logged as `***`."""
    codec: object = ""
    """The codec that encodes data of users before it is stored: an object, or its dotted name `MODULE:NAME`."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
                if each.name in _MAY_BE_ZERO and value == 0:
                    continue
                raise ConfigurationError(f"{PREFIX}{each.name} must be more than 0, not {value!r}")
            if isinstance(value, float) and not value <= MAX_SECONDS:
                raise ConfigurationError(over_limit(f"{PREFIX}{each.name} is {duration(value)}", duration(MAX_SECONDS)))
        try:
            Keys(self.key_prefix)
        except InvalidArgument as error:
            raise ConfigurationError(f"{PREFIX}key_prefix: {error}") from error
        Mask.of(self.mask)
        for name, factor, other, reason in _ORDER:
            value, least = getattr(self, name), getattr(self, other)
            if value < factor * least:
                raise ConfigurationError(
                    f"{PREFIX}{name} ({duration(value)}) must be at least {'twice ' if factor == 2 else ''}"
                    f"{PREFIX}{other} ({duration(least)}), so that {reason}"
                )

    @classmethod
    def of(cls, conf: Any) -> Settings:
        """Read a Celery configuration. Raises ConfigurationError for a value of the wrong type or an unknown name."""
        known = {each.name: each for each in fields(cls)}
        _refuse_unknown(conf, known)
        values: dict[str, Any] = {}
        for name, each in known.items():
            value = conf.get(PREFIX + name)
            if value is None:
                continue
            values[name] = value if name == "codec" else _converted(type(each.default), PREFIX + name, value)
        return cls(**values)

    def dump(self) -> str:
        """Return the settings as JSON for clients, without the Redis URL and the key prefix.

        Of the codec they learn only its name: what Redis holds is never imported.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _LOCAL}
        if not isinstance(self.codec, str):
            values["codec"] = type(self.codec).__name__
        return json.dumps(values)

    @classmethod
    def load(cls, text: str | None, **local: Any) -> Settings:
        """Return the settings that `dump` wrote, without unknown ones; `local` has the settings of this process."""
        known = {each.name for each in fields(cls)} - _LOCAL
        stored = json.loads(text) if text else {}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        return cls(**{name: value for name, value in values.items() if name in known}, **local)

    @property
    def timing(self) -> Timing:
        """The settings that the store uses."""
        return Timing(
            max_countdown=self.max_countdown,
            max_countdown_messages=self.max_countdown_messages,
            look_ahead=min(self.max_countdown, _LOOK_AHEAD_INTERVALS * self.sweep_interval),
            redelivery_timeout=self.redelivery_timeout,
            max_redelivery_timeout=self.max_redelivery_timeout,
            lease=self.lease,
            retention=self.retention,
            max_concurrency=self.max_concurrency,
        )

    @property
    def limits(self) -> Limits:
        """The settings that the machine uses."""
        return Limits(
            payload_bytes=self.max_payload_bytes,
            events=self.max_events,
            max_concurrency=self.max_concurrency,
            max_wait_seconds=self.max_wait,
            max_execution_seconds=self.max_execution_time,
        )

    @property
    def keys(self) -> Keys:
        """The names of the Redis keys."""
        return Keys(self.key_prefix)


def _refuse_unknown(conf: Any, known: Iterable[str]) -> None:
    names = [PREFIX + name for name in known]
    for name in conf:
        if isinstance(name, str) and name.startswith(PREFIX) and name not in names:
            guess = near(name, names)
            hint = f"did you mean {guess}?" if guess else f"known: {', '.join(names)}"
            raise ConfigurationError(f"unknown setting {name}; {hint}")


def _converted(kind: type[Any], name: str, value: Any) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if kind is tuple:
        raise ConfigurationError(f"{name} must be a list of texts, not {value!r}")
    if type(value) is not kind:
        raise ConfigurationError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return value
