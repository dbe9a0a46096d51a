"""The arithmetic of comparisons, and their table: medians with the lowest and the highest round, and paired ratios."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

KINDS = ("main", "children", "server", "client", "total")
PACKAGES = ("celery", "redis", "hiredis")


@dataclass(frozen=True)
class Round:
    """One measured round: its number of units, its wall time, and its CPU time by kind of process."""

    units: int
    seconds: float
    cpu_seconds: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds

    def cpu_us(self, kind: str) -> float:
        """Return the microseconds of CPU per unit. `total` is the sum of all kinds."""
        seconds = sum(self.cpu_seconds.values()) if kind == "total" else self.cpu_seconds[kind]
        return seconds / self.units * 1e6


def comparison(baseline: str, units: Mapping[str, str], rounds: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    """Return the figures of all variants. Round N of a variant is compared with round N of the baseline."""
    variants = {
        name: {"unit": units[name], **_summary(measured, rounds[baseline])} for name, measured in rounds.items()
    }
    return {"rounds": len(rounds[baseline]), "baseline": baseline, "variants": variants}


def _summary(rounds: Sequence[Round], baseline: Sequence[Round]) -> dict[str, Any]:
    pairs = list(zip(rounds, baseline, strict=True))
    kinds = [*rounds[0].cpu_seconds, "total"]
    return {
        "units_per_second": median_range(round.rate for round in rounds),
        "rate_ratio": median_range(ours.rate / other.rate for ours, other in pairs),
        "cpu_us_per_unit": {kind: median_range(round.cpu_us(kind) for round in rounds) for kind in kinds},
        "cpu_ratio": median_range(ours.cpu_us("total") / other.cpu_us("total") for ours, other in pairs),
    }


def median_range(values: Iterable[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest value, rounded."""
    found = list(values)
    figures = {"median": statistics.median(found), "min": min(found), "max": max(found)}
    return {name: round(value, 3) for name, value in figures.items()}


def environment() -> dict[str, Any]:
    """Return what the figures depend on besides the code: cores and versions."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(comparisons: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table of comparisons by title. Figures are written `MEDIAN (LOWEST-HIGHEST)`."""
    rows = [["", "variant", "unit", "per second", "rate", *KINDS, "CPU"]]
    for title, data in comparisons.items():
        for name, variant in data["variants"].items():
            compared = name != data["baseline"]
            cpu = variant["cpu_us_per_unit"]
            rows.append(
                [
                    title,
                    name,
                    variant["unit"],
                    _text(variant["units_per_second"]),
                    _text(variant["rate_ratio"], data["baseline"]) if compared else "",
                    *(_text(cpu[kind]) if kind in cpu else "" for kind in KINDS),
                    _text(variant["cpu_ratio"], data["baseline"]) if compared else "",
                ]
            )
    loads = ", ".join(str(data["load_1m"]) for data in comparisons.values())
    versions = ", ".join(f"{name} {value}" for name, value in environment().items())
    first = next(iter(comparisons.values()))
    return [
        f"{first['rounds']} rounds, load before {loads}; {versions}, {first['server']}",
        f"median (lowest-highest round); {', '.join(KINDS)}: CPU microseconds per unit",
        *_aligned(rows),
    ]


def _text(figures: Mapping[str, float], baseline: str | None = None) -> str:
    if baseline is None:
        return f"{figures['median']:,.0f} ({figures['min']:,.0f}-{figures['max']:,.0f})"
    return f"{figures['median']:.2f} x {baseline} ({figures['min']:.2f}-{figures['max']:.2f})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    cells = (zip(row, widths, strict=True) for row in zip(*columns, strict=True))
    return ["  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in cells]
