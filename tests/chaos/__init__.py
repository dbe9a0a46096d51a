"""A harness that harms everything pollflow runs on, and a checker that afterwards finds nothing lost and nothing twice.

`python -m tests.chaos --duration 180 --seed 42`, or `make chaos DURATION=1800 SEED=42`. The seed decides which
executions are started, what their functions answer, and which faults come when.
"""
