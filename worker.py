"""The Celery app: `celery -A worker worker`. Flows call the functions in `tasks/`."""

import os

from celery import Celery

import pollflow

url = os.environ.setdefault("POLLFLOW_REDIS_URL", "redis://127.0.0.1:6379/0")

app = Celery("pollflow-app", broker=url, include=["tasks", "beat_config"])

# This app has only pollflow's tasks, which need no acknowledgements. Remove this option if it gets other tasks.
app.conf.broker_transport_options = {"ack_emulation": False, "visibility_timeout": 3600}
app.conf.broker_connection_retry_on_startup = True

pollflow.attach(app, url)
