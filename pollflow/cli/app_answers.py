"""The program of the process that imports the app for a command that reads flows. See `app_process`.

    main SOCKET PIPE APP ORIGIN PROJECT

| request | answer |
| --- | --- |
| `facts` | the names of the functions, and the settings that limit flows |
| `call` | the event of a call of a function: what it returned or raised |

Each document has the `number` of its request. An answer with `failed` has the reason; then the process ends. The pipe
ends with the command.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pollflow.cli.project_app import AppName, read_app
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached
    from pollflow.runtime.functions import Context


def main() -> None:
    """Import the app that the arguments name, and answer requests until the command closes the socket."""
    descriptor, pipe, name, origin, project = sys.argv[1:]
    threading.Thread(target=_end_with_command, args=(int(pipe),), daemon=True).start()
    with suppress(OSError):  # the command has ended, or the app has closed the socket
        _serve(int(descriptor), AppName(name, origin), Path(project))


def _serve(descriptor: int, name: AppName, project: Path) -> None:
    process = os.getpid()
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rwb") as stream:
        app: Attached | None = None
        for line in stream:
            request = json.loads(line)
            try:
                app = app or read_app(name, project)
                answer = _answer(app, request)
            except BaseException as error:  # the app may raise anything
                answer = {"failed": str(error) or type(error).__name__}
            if os.getpid() != process:
                os._exit(0)  # the app has forked; only the first process answers
            _flush_output()
            stream.write(json.dumps({**answer, "number": request["number"]}).encode() + b"\n")
            stream.flush()
            if "failed" in answer:
                return


def _end_with_command(pipe: int) -> None:
    """Kill all processes of this session when the command has ended, also if it was killed."""
    while os.read(pipe, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _answer(app: Attached, request: dict[str, Any]) -> dict[str, Any]:
    if "call" in request:
        with _brief_failures():
            return _called(app, request)
    settings = app.settings
    limits = {name: getattr(settings, name) for name in ("max_events", "max_wait", "max_definition_bytes")}
    return {"functions": list(app.functions), "mask": list(settings.mask), **limits}


def _called(app: Attached, request: dict[str, Any]) -> dict[str, Any]:
    from pollflow.fdl.model import ServiceResource
    from pollflow.machine import Returned
    from pollflow.runtime.calls import event_of
    from pollflow.runtime.masking import Hider, Mask
    from pollflow.testing.replies import is_interruption

    function = app.functions.find(ServiceResource(request["call"], takes_params=False))
    if function is None:
        raise LookupError(request["call"])
    hider = Hider(Mask.of(app.settings.mask))
    hider.learn(request["input"])
    context = context_from(request["context"], hider.text)
    event = event_of(function, request["input"], context, is_interruption)
    return {"returned": event.value} if isinstance(event, Returned) else {"raised": asdict(event)}


def context_from(fields: dict[str, Any], hide: Callable[[str], str]) -> Context:
    """Return the context of a call from the fields that `imported_app` sends. `hide` masks what is logged."""
    from pollflow.runtime.calls import logger
    from pollflow.runtime.functions import CallLogger, Context

    deadline = fields["deadline"] and datetime.fromisoformat(fields["deadline"])
    extra = {"flow": fields["flow_name"], "execution": fields["execution_name"]}
    extra |= {name: fields[name] for name in ("step", "attempt")}
    return Context(**{**fields, "deadline": deadline}, logger=CallLogger(logger, extra, hide))


def _flush_output() -> None:
    """Write what the app has printed, before the command kills this process."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the app may have closed or replaced them
            stream.flush()


class _Brief(logging.Formatter):
    """Format an exception of a function in one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        trace = record.exc_text or ""
        record.exc_info = record.exc_text = None
        error = trace.rpartition("\n      ")[2].partition("\n")[2]  # the lines after the last frame
        return "\n  ".join([super().format(record), *([clean(" ".join(error.split()))] if error else [])])


@contextmanager
def _brief_failures() -> Iterator[None]:
    """Log exceptions of functions without tracebacks during the block."""
    logger = logging.getLogger("pollflow.function")
    handler = logging.StreamHandler()
    handler.setFormatter(_Brief())
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)
