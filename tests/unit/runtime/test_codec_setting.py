"""The setting `pollflow_codec`: what `attach` accepts, and what clients learn of it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

import pollflow
from pollflow import AesGcmCodec, ConfigurationError
from pollflow.runtime.codecs import sealer_of
from pollflow.runtime.settings import Settings

KEY = b"a secret of 32 bytes, as it is: "
codec = AesGcmCodec({"k1": KEY})
no_codec = {"encode": 1}


def attached(setting: Any) -> Any:
    app = Celery("proj", broker="redis://127.0.0.1:1/0")
    app.conf.pollflow_codec = setting
    return pollflow.attach(app)


@pytest.mark.parametrize("setting", [codec, f"{__name__}:codec"], ids=["object", "name"])
def test_a_codec_is_an_object_or_its_name(setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(codec=codec))
    found = attached(setting)
    assert found.sealer.codec is codec
    for container in (found.container, found.background):
        assert container.store.sealer is container.reading.sealer is found.sealer


def test_the_default_is_no_codec() -> None:
    assert attached(None).sealer.codec is None
    assert sealer_of("").codec is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (object(), "must be an object with encode"),
        (AesGcmCodec, "the class AesGcmCodec"),
        (KEY, "of type bytes"),
        ("proj", "not 'proj'"),
        ("nowhere.at.all:codec", "cannot be imported: ModuleNotFoundError"),
        ("pollflow.errors:nothing", "cannot be imported: AttributeError"),
        ("pollflow.errors:PollflowError", "the class PollflowError"),
    ],
)
def test_anything_else_is_refused(setting: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        attached(setting)
    assert "secret" not in str(raised.value)


def test_clients_learn_only_the_name_of_the_codec() -> None:
    assert Settings.load(Settings(codec="proj.security:codec").dump()).codec == "proj.security:codec"
    text = Settings(codec=codec).dump()
    assert Settings.load(text).codec == "AesGcmCodec"
    assert KEY.decode()[:14] not in text
