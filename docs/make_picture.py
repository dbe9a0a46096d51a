"""Make docs/run.svg, the picture of a run in the README, from a real run: `python docs/make_picture.py`."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pollflow.cli.following import follow
from pollflow.cli.init import write_project
from pollflow.cli.progress import Line, Progress, steps_of
from pollflow.cli.project_app import AppName
from pollflow.cli.session import ProjectLocation, connected
from pollflow.cli.summary import next_commands, print_next, print_result
from pollflow.cli.views import done_line, width_of_names
from pollflow.cli.workers import working
from pollflow.fdl import load_flow

FLOW = "flows/task_polling.yaml"
COMMAND = f"pollflow run {FLOW} --input '{{\"delay\": 20}}' --name nightly"
PICTURE = Path(__file__).parent / "run.svg"


@dataclass(frozen=True, slots=True)
class Recorder:
    """A view for a recording console: it writes only the lines that stay on a terminal."""

    console: Console
    name_width: int

    def write(self, text: str = "", style: str = "") -> None:
        """Write a line of text."""
        self.console.print(Text(text, style))

    def show_line(self, line: Line) -> None:
        """Write a line for a visit that has ended."""
        if line.kind != "entered":
            self.console.print(done_line(line, self.name_width))

    def refresh(self, progress: Progress) -> None:
        """Do nothing: the picture does not show open visits."""


def main() -> None:
    """Run the flow and write the picture."""
    console = Console(record=True, width=84, file=io.StringIO(), force_terminal=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_project(project)
        flow = load_flow(project / FLOW)
        recorder = Recorder(console, width_of_names(flow))
        location = ProjectLocation(project, app=AppName("worker", "worker.py"), is_isolated=True)
        with connected(location) as session, working(session) as worker:
            session.client.deploy_text(flow.text, "task-polling")
            worker.wait_until_ready()
            recorder.write(f"$ {COMMAND}")
            recorder.write('task-polling/nightly  {"delay": 20}', "bold")
            execution = session.client.start("task-polling", {"delay": 20}, name="nightly")
            follow(execution, Progress(steps_of(flow)), recorder, check=worker.check)
            print_result(execution.refresh(), recorder)
            print_next(next_commands(execution, session.location), recorder)
    PICTURE.write_text(console.export_svg(title="pollflow", unique_id="pollflow"), encoding="utf-8")


if __name__ == "__main__":
    main()
