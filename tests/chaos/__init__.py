"""Inject faults into workers, beats and Redis under load, then check that no work is lost or duplicated.

`python -m tests.chaos --duration 180 --seed 42`, or `make chaos DURATION=1800 SEED=42`. The seed decides the
executions, the results of their functions, and the faults with their times.
"""
