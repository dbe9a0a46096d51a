# The image of the reference application: pollflow, worker.py, beat_config.py, tasks/ and flows/. Worker, beat and Flower use it.
FROM python:3.13-slim
RUN useradd --create-home app
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY pollflow pollflow
RUN pip install --no-cache-dir '.[flower]' && chown app /app
COPY worker.py beat_config.py ./
COPY tasks tasks
COPY flows flows
USER app
