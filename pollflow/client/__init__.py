"""The Python client: deploy flows, start and read executions. It does not know how steps run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.client.names import name_of_file
from pollflow.lazy import exports

if TYPE_CHECKING:
    from pollflow.client.client import AuditEntry, Client, DeployedFlow
    from pollflow.client.description import Description, OpenStep, StepState
    from pollflow.client.execution import Execution, HistoryEntry, entry_of
else:
    __getattr__ = exports(
        __name__,
        {
            "client": ("AuditEntry", "Client", "DeployedFlow"),
            "description": ("Description", "OpenStep", "StepState"),
            "execution": ("Execution", "HistoryEntry", "entry_of"),
        },
    )

__all__ = [
    "AuditEntry",
    "Client",
    "DeployedFlow",
    "Description",
    "Execution",
    "HistoryEntry",
    "OpenStep",
    "StepState",
    "entry_of",
    "name_of_file",
]
