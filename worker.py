"""The Celery app: `celery -A worker worker`. Flows call the functions in `tasks/`."""

import os

from celery import Celery

import pollflow

# `pollflow worker` sets it, if it is not set, to the URL of an embedded server.
app = Celery("pollflow-app", broker=os.environ.get("POLLFLOW_REDIS_URL"), include=["tasks", "beat_config"])

# This app has only pollflow's tasks, which need no acknowledgements. Remove this option if it gets other tasks.
app.conf.broker_transport_options = {"ack_emulation": False, "visibility_timeout": 3600}
app.conf.broker_connection_retry_on_startup = True

pollflow.attach(app)
