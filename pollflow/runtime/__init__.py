"""Celery: a task per step type, leases, wake-ups and functions. Knows nothing of YAML."""
