"""The process that imports the app for a command that reads flows, so that the command runs none of its code.

The process leads a session of its own, which ends with its use, or when its time is up. It answers requests on a
socket, one JSON document in a line; its program is `app_answers`. What it prints goes to a pipe, and from there, within
limits, to standard error. The command waits for an answer, the end of the process or the time limit, and never for the
end of a stream: a process that the app has forked may keep it open.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

from pollflow.cli.exits import CommandError
from pollflow.cli.interruptions import deferred
from pollflow.cli.output import write_line
from pollflow.cli.project_app import AppName

ANSWER_BYTES = 8 << 20
"""The longest answer: more than the names of all functions of an app, or the result of a function."""
OUTPUT_BYTES = 64 << 10
"""How much of the app's output is shown."""
_CHUNK_BYTES = 64 << 10
_POLL_SECONDS = 0.05
"""How often the command checks whether the process has ended."""
_END_SECONDS = 1.0
"""How long a process that has closed its socket has to end."""
# `-c` puts the current folder first; pollflow itself is not imported from there.
_PROGRAM = "import sys; sys.path[:] = filter(None, sys.path); from pollflow.cli.app_answers import main; main()"


class AppFailed(CommandError):
    """The process of an app has not answered as it should."""


class AppProcess:
    """The process of an app, as a context manager. Each answer may take `seconds`."""

    def __init__(self, app: AppName, project: Path, seconds: float) -> None:
        self._app = app
        self._project = project
        self._seconds = seconds
        self._stack = ExitStack()
        self._requests = 0
        self._line = b""
        self._printed = 0

    def __enter__(self) -> AppProcess:
        try:
            with deferred():
                self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with deferred():
            self._stack.close()

    def answer(self, **request: Any) -> dict[str, Any]:
        """Return the answer to a request. Raises AppFailed, with what to do, if there is none."""
        self._requests += 1
        line = self._exchange(json.dumps({**request, "number": self._requests}).encode() + b"\n")
        try:
            found = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            self.fail("sent an answer that is not JSON")
        if not isinstance(found, dict) or found.pop("number", None) != self._requests:
            self.fail("sent an answer to no request")
        if "failed" in found:
            raise AppFailed(str(found["failed"])[:OUTPUT_BYTES])
        return found

    def fail(self, reason: str, remedy: str = "") -> NoReturn:
        """Raise AppFailed, which says what the process did and how to see more."""
        usual = f"`celery -A {self._app.name} report` in {self._project} imports the app too"
        raise AppFailed(f"the process of the Celery app {self._app} {reason}; {remedy or usual}")

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._stack.callback(self._socket.close)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        self._stack.callback(os.close, self._output)
        watched, parent = os.pipe()
        self._stack.callback(os.close, parent)
        descriptors = (theirs.fileno(), watched)
        words = [*map(str, descriptors), self._app.name, self._app.origin, str(self._project)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, with a program of pollflow
                [sys.executable, "-c", _PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=descriptors,
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(output)
            os.close(watched)
        self._stack.callback(self._end)

    def _end(self) -> None:
        """Kill all processes of the session and print the rest of the output."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._print_output()
        if self._line:
            self._print(b"\n")

    def _exchange(self, request: bytes) -> bytes:
        """Send a request and return the line of its answer."""
        deadline = time.monotonic() + self._seconds
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self._output, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if time.monotonic() > deadline:
                    remedy = "--time-limit SECONDS allows more"
                    self.fail(f"has not answered within {self._seconds:g} s", remedy)
                has_ended = self._process.poll() is not None
                events = {key.fileobj: ready for key, ready in selector.select(_POLL_SECONDS)}
                if self._output in events and not self._print_output():
                    selector.unregister(self._output)
                if events.get(self._socket, 0) & selectors.EVENT_READ:
                    answer += self._received(len(answer))
                elif has_ended:
                    self._fail_as_ended()
                elif request and self._socket in events:
                    request = request[self._sent(request) :]
                    if not request:
                        selector.modify(self._socket, selectors.EVENT_READ)
        return bytes(answer)

    def _received(self, before: int) -> bytes:
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._fail_as_ended()
        if before + len(data) > ANSWER_BYTES:
            self.fail(f"sent an answer of more than {ANSWER_BYTES:,} bytes")
        return data

    def _sent(self, request: bytes) -> int:
        try:
            return self._socket.send(request)
        except ConnectionError:
            self._fail_as_ended()

    def _fail_as_ended(self) -> NoReturn:
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.fail("has closed its connection")
        self.fail(f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}")

    def _print_output(self) -> bool:
        """Print what the pipe holds now. Return False at its end."""
        try:
            data = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        self._print(data)
        return bool(data)

    def _print(self, data: bytes) -> None:
        """Print the complete lines of the output on standard error, up to the limit."""
        *lines, self._line = (self._line + data[: max(0, OUTPUT_BYTES - self._printed)]).split(b"\n")
        for line in lines:
            write_line(line.decode(errors="replace").expandtabs(), is_error=True)
        if self._printed <= OUTPUT_BYTES < self._printed + len(data):
            text = f"the app {self._app} printed more than {OUTPUT_BYTES:,} bytes; the rest is left out"
            write_line(text, is_error=True)
        self._printed += len(data)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
