"""Writes down for clients what a worker does: where step messages go, the settings, and the registered functions."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.runtime.functions import Functions
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Directory, Reading


@dataclass(frozen=True, slots=True)
class WorkerRegistry:
    """What one app's workers register."""

    directory: Directory
    reading: Reading
    routes: Routes
    settings: Settings
    functions: Functions

    def register(self) -> None:
        """Write everything down."""
        self.routes.save(self.directory, self.settings)
        self.directory.save_functions(self.functions, self.reading.now())

    def register_again(self) -> None:
        """Write everything down if Redis has lost it."""
        if not self.directory.has_route():
            self.register()
