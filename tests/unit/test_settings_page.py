"""docs/celery.md lists every setting with its default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from pollflow.runtime.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "celery.md").read_text()


def test_the_page_lists_the_settings_and_their_defaults() -> None:
    listed = dict(re.findall(r"^\| `(pollflow_\w+)` \| ([^|]+) \|", PAGE, re.M))
    defaults = {PREFIX + field.name: field.default for field in fields(Settings)}
    assert set(listed) == set(defaults)
    for name, default in defaults.items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert float(listed[name]) == default
