# The image of the reference application: pollflow, worker.py, beat_config.py, tasks/ and flows/. Worker, beat and Flower use it.
FROM python:3.13-slim
RUN useradd --create-home --uid 1000 app
WORKDIR /app
# Only packages whose hashes are in the lock file are installed. It contains what builds pollflow too.
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY pollflow pollflow
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation .
COPY worker.py beat_config.py ./
COPY tasks tasks
COPY flows flows
USER app
