"""The plots of the benchmarks."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Round, comparison
from benchmarks.plots import plots


def report() -> dict[str, Any]:
    """Return a report in which one subject has two baselines."""
    ours = [Round(100, 1.0, {"main": 0.2, "children": 0.3, "server": 0.1})]
    peers = {"dbos": [Round(100, 2.0, {"main": 0.4, "server": 0.2})], "redflow": [Round(100, 4.0, {"main": 0.9})]}
    units = {"poll": "poll", "dbos": "poll", "redflow": "poll"}
    return {
        "comparisons": {name: comparison(name, units, {name: rounds, "poll": ours}) for name, rounds in peers.items()}
    }


def test_a_plot_has_one_bar_for_each_variant() -> None:
    rate = plots("peers", report())["peers-rate.svg"]
    assert [rate.count(f">{name}<") for name in ("poll", "dbos", "redflow")] == [1, 1, 1]
    assert [rate.count(f">{number}<") for number in ("100.0", "50.0", "25.0")] == [1, 1, 1]


def test_a_plot_of_cpu_times_stacks_the_kinds_of_processes() -> None:
    cpu = plots("peers", report())["peers-cpu.svg"]
    assert [f">{kind}<" in cpu for kind in ("main", "children", "server", "client")] == [True, True, True, False]
    assert all(f">{total}<" in cpu for total in ("6.0", "6.0", "9.0"))


def test_the_same_figures_make_the_same_files() -> None:
    assert plots("peers", report()) == plots("peers", report())
