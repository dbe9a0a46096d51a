"""The beat schedule: `celery -A worker beat`, or `celery -A beat_config beat`. Any number of beats may run."""

import pollflow
from worker import app

app.conf.beat_schedule = pollflow.beat_schedule()

# Beat writes the schedule file with each task it sends, so its age shows whether beat runs (docker-compose.yml).
app.conf.beat_sync_every = 1
