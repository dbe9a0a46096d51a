"""Starting executions and asking after them, from Python. Knows nothing of how steps run."""

from pollflow.client.client import Client, DeployedFlow, name_of_file
from pollflow.client.execution import Execution, HistoryEntry, entry_of

__all__ = ["Client", "DeployedFlow", "Execution", "HistoryEntry", "entry_of", "name_of_file"]
