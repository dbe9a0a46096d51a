"""The codec of an app: the object that `pollflow_codec` is or names."""

from __future__ import annotations

from importlib import import_module

from pollflow.errors import ConfigurationError, PollflowError
from pollflow.store import Codec, Sealer

_FORM = "an object with encode(data, context) and decode(data, context), or its dotted name MODULE:NAME"


def sealer_of(setting: object) -> Sealer:
    """Return the sealer of an app by its setting `pollflow_codec`. Raises ConfigurationError."""
    if setting is None or setting == "":
        return Sealer()
    codec = _imported(setting) if isinstance(setting, str) else setting
    if isinstance(codec, type) or not isinstance(codec, Codec):
        raise ConfigurationError(f"pollflow_codec must be {_FORM}, not {_shown(setting, codec)}")
    sealer = Sealer(codec)
    try:
        _ = sealer.key_id
    except PollflowError as error:
        raise ConfigurationError(f"pollflow_codec cannot be used: {error}") from error
    return sealer


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f"pollflow_codec must be {_FORM}, not {name!r}")
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except PollflowError:
        raise
    except Exception as error:  # the module is code of the user
        raise ConfigurationError(
            f"pollflow_codec {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return found


def _shown(setting: object, codec: object) -> str:
    """Return a text without the value itself, which may be a key."""
    kind = f"the class {codec.__name__}" if isinstance(codec, type) else f"of type {type(codec).__name__}"
    return f"{setting}, which is {kind}" if isinstance(setting, str) else kind
