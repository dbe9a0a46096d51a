"""The beat schedule: `celery -A worker beat`, or `celery -A beat_config beat`. Any number of beats may run."""

import pollflow
from worker import app

app.conf.beat_schedule = pollflow.beat_schedule()

# The schedule file is written with each task sent, so its age tells whether beat is alive (docker-compose.yml).
app.conf.beat_sync_every = 1
