"""No replaced word of docs/glossary.md is left in the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
GLOSSARY = PROJECT / "docs" / "glossary.md"
# The files directly in this folder are shared copies; only those in `own/` belong to this project.
SHARED = PROJECT / "tests" / "flowtests"
FOLDERS = ("pollflow", "tests", "docs", "benchmarks", "flows", "tasks", ".github")
FILES = (
    "Makefile",
    "Dockerfile",
    ".ci/run",
    ".ci/pythons",
    "pyproject.toml",
    "docker-compose.yml",
    ".pre-commit-config.yaml",
)
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
MODULES = ("worker.py", "beat_config.py")
SUFFIXES = {".py", ".lua", ".md", ".yaml", ".yml", ".toml", ".template", ".svg"}


def replaced_words() -> list[str]:
    table = GLOSSARY.read_text(encoding="utf-8").split("## Replaced words")[1]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.M)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def files() -> Iterator[Path]:
    yield from (PROJECT / name for name in (*FILES, *PAGES, *MODULES))
    for folder in FOLDERS:
        for file in sorted((PROJECT / folder).rglob("*")):
            if file.suffix in SUFFIXES and file not in (GLOSSARY, Path(__file__)) and file.parent != SHARED:
                yield file


def test_the_glossary_lists_replaced_words() -> None:
    words = replaced_words()
    assert len(words) == len(set(words)) > 40
    assert {"vouch", "Keeper", "in vain"} <= set(words)


def pattern_of(word: str) -> str:
    """Match a lower-case word at the start of a sentence too, and a phrase that continues on the next line."""
    first = f"[{word[0].upper()}{word[0]}]" if word.islower() and word[0].isalpha() else re.escape(word[0])
    return first + r"\s+".join(map(re.escape, word[1:].split(" ")))


def test_no_replaced_word_is_left() -> None:
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(pattern_of, replaced_words()))})(?!\w)")
    found = [
        f"{file.relative_to(PROJECT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for file in files()
        for text in [file.read_text(encoding="utf-8")]
        for match in pattern.finditer(text)
    ]
    assert not found, "\n".join(found)
