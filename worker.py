"""The Celery app: `celery -A worker worker`. What flows call is in `tasks/`; all mechanism is in `pollflow`."""

import os

from celery import Celery

import pollflow

url = os.environ.setdefault("POLLFLOW_REDIS_URL", "redis://127.0.0.1:6379/0")

app = Celery("pollflow-app", broker=url, include=["tasks", "beat_config"])

# The app carries nothing but pollflow, which needs no acknowledgements. If it gets tasks of its own, drop this option.
app.conf.broker_transport_options = {"ack_emulation": False, "visibility_timeout": 3600}
app.conf.broker_connection_retry_on_startup = True

pollflow.attach(app, url)
