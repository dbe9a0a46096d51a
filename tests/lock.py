"""requirements.lock and the requirements of pyproject.toml that it must satisfy."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[1]
LOCK = PROJECT / "requirements.lock"
ENVIRONMENT = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "extra": ""}
"""That of the image."""


@dataclass(frozen=True)
class Locked:
    """A line of the lock file."""

    name: str
    version: str
    hashes: tuple[str, ...]


def build_requirements() -> list[str]:
    """Return what builds pollflow."""
    found: list[str] = _pyproject()["build-system"]["requires"]
    return found


def requirements() -> list[Requirement]:
    """Return what the image installs besides the requirements of its packages."""
    project = _pyproject()["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["flower"], *build_requirements()]
    found = map(Requirement, texts)
    return [each for each in found if each.marker is None or each.marker.evaluate(dict(ENVIRONMENT))]


def locked(text: str) -> dict[str, Locked]:
    """Return the packages of a lock file by name. Raises ValueError for a line of another form."""
    found = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,.-]+\])?==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line)
        if match is None:
            raise ValueError(f"not NAME==VERSION with hashes: {line[:80]}")
        hashes = tuple(re.findall(r"sha256:(\w+)", match[3]))
        found[canonicalize_name(match[1])] = Locked(match[1], match[2], hashes)
    return found


def problems(packages: dict[str, Locked]) -> list[str]:
    """Return which requirements the packages do not satisfy."""
    found = []
    for requirement in requirements():
        package = packages.get(canonicalize_name(requirement.name))
        if package is None:
            found.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(package.version, prereleases=True):
            found.append(f"{package.name} {package.version} does not satisfy {requirement.specifier}")
    return found


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
