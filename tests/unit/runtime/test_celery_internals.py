"""The private parts of Celery, kombu and billiard that pollflow uses exist; a missing part is named."""

from __future__ import annotations

import pytest
from celery.worker import state
from celery.worker.request import Request

from pollflow import ConfigurationError
from pollflow.runtime.celery_internals import check_internals


def test_the_installed_versions_have_every_part() -> None:
    check_internals()


def test_a_missing_part_of_celery_is_named_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(state, "active_requests")
    with pytest.raises(ConfigurationError, match=r"celery \d+\.\d+\.\d+ has no worker\.state\.active_requests"):
        check_internals()


def test_a_missing_attribute_of_requests_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Request, "time_start")
    with pytest.raises(ConfigurationError, match=r"worker\.request\.Request\.time_start"):
        check_internals()
