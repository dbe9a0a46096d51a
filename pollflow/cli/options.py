"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="Which Redis; POLLFLOW_REDIS_URL unless given, else the project's embedded server.",
    ),
]
ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        file_okay=False,
        exists=True,
        help="The project's folder; unless given, the nearest one upwards that has a worker.py.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Input = Annotated[
    str,
    typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="The input: a JSON object, a file or standard input."),
]
Name = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="NAME", help="The execution's name; a random one unless given."),
]
ExecutionName = Annotated[str, typer.Argument(metavar="FLOW/NAME", help="The execution.")]
