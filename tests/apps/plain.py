"""A Celery app without pollflow, on the queue of an app with pollflow. Run as `celery -A tests.apps.plain worker`."""

from __future__ import annotations

import json
import os

from celery import Celery

app = Celery("plain", broker=os.environ["POLLFLOW_REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
app.conf.update(json.loads(os.environ.get("POLLFLOW_TEST_CONF", "{}")))
