"""The command `pollflow`. It knows terminals and processes; it does not know Redis keys or messages."""

from pollflow.cli.app import main

__all__ = ["main"]
