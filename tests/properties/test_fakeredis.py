"""Generated flows write the same history on fakeredis as on a server."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from hypothesis import given, settings

from pollflow.fdl import Flow
from pollflow.store import Connection
from pollflow.testing import VirtualRun
from tests.properties.test_machine import LIMITS, flows, functions, inputs, stimuli


@pytest.fixture(scope="module")
def fake_client() -> Connection:
    return fakeredis.FakeRedis(decode_responses=True)


@settings(max_examples=60)
@given(flow=flows(), input=inputs, answers=functions, actions=stimuli)
def test_fakeredis_gives_the_result_of_a_server(
    fake_client: Connection, flow: Flow, input: Any, answers: Any, actions: Any
) -> None:
    options: dict[str, Any] = {"functions": answers, "stimuli": actions, "limits": LIMITS}
    on_server = VirtualRun(flow, input, **options).run()
    assert VirtualRun(flow, input, **options, client=fake_client).run() == on_server
