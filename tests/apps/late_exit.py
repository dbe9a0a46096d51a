"""The test app, whose worker cannot reap a pool process that has ended until the key `test:reap` exists."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

from billiard.popen_fork import Popen

from tests.apps.jobs import app, redis

__all__ = ["app"]

_poll = Popen.poll


def late_poll(self: Any, flag: int = os.WNOHANG) -> int | None:
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    if self.returncode is None and os.waitid(os.P_PID, self.pid, ended) and not redis.exists("test:reap"):
        redis.set("test:ended", 1)
        return None
    status: int | None = _poll(self, flag)
    return status


patch.object(Popen, "poll", late_poll).start()
