"""Draws plots from reports: `python -m benchmarks.plots REPORT.json ...`, where REPORT.json is the output of `--json`.

Each report of comparisons makes two files in docs/: REPORT-rate.svg has the units per second, REPORT-cpu.svg the CPU
time per unit by kind of process. Both show medians. Their colors are legible on light and dark pages.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.figures import KINDS
from benchmarks.frame import PROJECT

GRAY = "#808890"
"""Has enough contrast on white and on black."""
COLORS = {"main": "#4c8dd6", "children": "#3fa66b", "server": "#e0913a", "client": "#b46bc4"}
STYLE: Any = {  # matplotlib types the names of its settings one by one
    "svg.fonttype": "none",  # texts stay texts
    "svg.hashsalt": "pollflow",  # the same figures make the same file
    "font.family": "sans-serif",
    "axes.titlesize": "medium",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GRAY),
}


def main() -> None:
    """Draw the plots of the reports that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reports", nargs="+", type=Path, help="outputs of --json, such as peers.json")
    parser.add_argument("--folder", type=Path, default=PROJECT / "docs", help="where the plots go (default: docs)")
    options = parser.parse_args()
    for report in options.reports:
        for name, text in plots(report.stem, json.loads(report.read_text())).items():
            (options.folder / name).write_text(text)


def plots(stem: str, report: Mapping[str, Any]) -> dict[str, str]:
    """Return the plots of a report by file name."""
    variants = _variants(report["comparisons"])
    rate = {"main": [each["units_per_second"]["median"] for each in variants.values()]}
    kinds = [kind for kind in KINDS if any(kind in each["cpu_us_per_unit"] for each in variants.values())]
    cpu = {kind: [_cpu_ms(each, kind) for each in variants.values()] for kind in kinds if kind != "total"}
    unit = next(iter(variants.values()))["unit"]
    return {
        f"{stem}-rate.svg": _bars(f"{stem}: units per second", [*variants], rate),
        f"{stem}-cpu.svg": _bars(f"{stem}: milliseconds of CPU per {unit}", [*variants], cpu),
    }


def _variants(comparisons: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the variants by label. One that is compared with several baselines is the same one in all."""
    found: dict[str, Mapping[str, Any]] = {}
    for title, comparison in comparisons.items():
        for name, variant in comparison["variants"].items():
            is_same = name in found and found[name]["units_per_second"] == variant["units_per_second"]
            found[name if name not in found or is_same else f"{name} ({title})"] = variant
    return found


def _cpu_ms(variant: Mapping[str, Any], kind: str) -> float:
    figures = variant["cpu_us_per_unit"].get(kind)
    return figures["median"] / 1000 if figures else 0.0


def _bars(title: str, labels: Sequence[str], values: Mapping[str, Sequence[float]]) -> str:
    """Return horizontal bars, the first label on top; several kinds are stacked. The end of a bar has its sum."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 1 + 0.35 * len(labels)), layout="constrained")
        axes = figure.subplots()
        left = [0.0] * len(labels)
        for kind, series in values.items():
            bars = axes.barh(labels, series, left=left, color=COLORS[kind], label=kind)
            left = [before + value for before, value in zip(left, series, strict=True)]
        axes.bar_label(bars, [f"{total:,.1f}" for total in left], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
        if len(values) > 1:
            figure.legend(loc="outside lower center", ncols=len(values), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


if __name__ == "__main__":
    main()
