"""Execution on Celery: step tasks, leases, the sweep and functions. It does not know YAML."""
