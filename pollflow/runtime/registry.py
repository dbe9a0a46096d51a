"""Registration of workers for clients: routes of step messages, settings, and registered functions."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.runtime.functions import Functions
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Directory, Reading


@dataclass(frozen=True, slots=True)
class WorkerRegistry:
    """Stores what the workers of one app register."""

    directory: Directory
    reading: Reading
    routes: Routes
    settings: Settings
    functions: Functions

    def register(self) -> None:
        """Store routes, settings and functions."""
        self.routes.save(self.directory, self.settings)
        self.directory.save_functions(self.functions, self.reading.now())

    def register_again(self) -> None:
        """Store them again if Redis has lost them."""
        if not self.directory.has_route():
            self.register()
