"""The report of flow tests: a line for each case, or JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # nosec B405
from dataclasses import dataclass
from pathlib import Path

from pollflow.errors import InvalidArgument
from pollflow.printable import clean, clean_lines
from pollflow.runtime import arguments
from pollflow.testing.output_file import open_output


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one case, which passed if there are no differences. `seconds` is real time."""

    path: str
    name: str
    line: int = 1
    differences: tuple[str, ...] = ()
    seconds: float = 0

    @property
    def passed(self) -> bool:
        """Whether the result is as expected."""
        return not self.differences

    def __str__(self) -> str:
        line = f"{'ok    ' if self.passed else 'FAILED'} {clean(f'{self.path}: {self.name}')}"
        return "\n".join([line, *(_indented(clean_lines(text)) for text in self.differences)])


@dataclass(frozen=True, slots=True)
class FlowTestReport:
    """The verdicts on all cases, in the order of the runs."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def passed(self) -> int:
        """The number of cases that passed."""
        return sum(verdict.passed for verdict in self.verdicts)

    @property
    def failed(self) -> int:
        """The number of cases that failed."""
        return len(self.verdicts) - self.passed

    @property
    def summary(self) -> str:
        """The last line of the report."""
        return f"{self.passed} passed, {self.failed} failed"

    def write_junit(self, path: str | Path) -> None:
        """Write JUnit XML, through no link. Raises InvalidArgument if the file cannot be written."""
        arguments.path("path", path)
        seconds = sum(verdict.seconds for verdict in self.verdicts)
        counts = {"tests": str(len(self.verdicts)), "failures": str(self.failed), "errors": "0", "skipped": "0"}
        suites = ET.Element("testsuites")
        suite = ET.SubElement(suites, "testsuite", {"name": "pollflow", **counts, "time": f"{seconds:.3f}"})
        for verdict in self.verdicts:
            suite.append(_element(verdict))
        try:
            with open_output(path) as file:
                ET.ElementTree(suites).write(file, encoding="utf-8", xml_declaration=True)
        except OSError as error:
            raise InvalidArgument(f"{path}: cannot be written: {error.strerror or error}") from error


def _element(verdict: Verdict) -> ET.Element:
    attributes = {
        "classname": clean_lines(verdict.path),
        "name": clean_lines(verdict.name),
        "file": clean_lines(verdict.path),
        "line": str(verdict.line),
        "time": f"{verdict.seconds:.3f}",
    }
    element = ET.Element("testcase", attributes)
    if not verdict.passed:
        first = verdict.differences[0].partition("\n")[0]
        failure = ET.SubElement(element, "failure", {"message": clean_lines(first)})
        failure.text = clean_lines("\n".join(verdict.differences))
    return element


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))
