"""Registration of workers for clients: routes of step messages, settings, and registered functions."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pollflow.runtime.functions import Functions
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Directory, Reading

_MAX_REFRESH_SECONDS = 10.0


@dataclass(slots=True)
class WorkerRegistry:
    """Stores what the workers of one app register."""

    directory: Directory
    reading: Reading
    routes: Routes
    settings: Settings
    functions: Functions
    _saved_at: float = 0.0

    def register(self) -> None:
        """Store routes, settings and functions."""
        self.routes.save(self.directory, self.settings)
        self._save_functions()

    def register_again(self) -> None:
        """Store them again if Redis has lost them; the functions also every few seconds, while the worker runs."""
        refresh_seconds = min(_MAX_REFRESH_SECONDS, self.settings.function_grace / 3 or _MAX_REFRESH_SECONDS)
        if not self.directory.has_route():
            self.register()
        elif time.monotonic() >= self._saved_at + refresh_seconds:
            self._save_functions()

    def _save_functions(self) -> None:
        self.directory.save_functions(self.functions, self.reading.now())
        self._saved_at = time.monotonic()
