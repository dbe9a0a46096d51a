"""requirements.lock satisfies pyproject.toml, with a hash for each package. A newer release elsewhere fails no test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lock import LOCK, PROJECT, locked, problems

pytestmark = pytest.mark.skipif(not LOCK.exists(), reason="not a checkout")


def test_the_lock_is_current() -> None:
    assert problems(locked(LOCK.read_text("utf-8"))) == [], "run make lock"


def test_the_image_installs_from_the_lock_only() -> None:
    text = (PROJECT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert installs
    for install in (part for line in installs for part in line.split("&&") if "pip install" in part):
        assert "--require-hashes -r requirements.lock" in install or "--no-index --no-deps" in install, install


def test_a_package_that_is_missing_or_too_old_is_found() -> None:
    packages = locked(LOCK.read_text("utf-8"))
    old = {**packages, "celery": replace(packages["celery"], version="5.4.0")}
    del old["lark"]
    assert problems(old) == ["celery 5.4.0 does not satisfy !=5.7.0,>=5.5", "lark is missing"]


@pytest.mark.parametrize(
    "line",
    ["celery==5.6.3", "celery>=5.5 --hash=sha256:" + "0" * 64, "celery==5.6.3 --hash=md5:0", "https://example.org/x"],
)
def test_a_line_without_version_and_hash_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not NAME==VERSION with hashes"):
        locked(line)
