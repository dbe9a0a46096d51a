"""`pollflow init` writes over no file and through no link."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pollflow.cli.exits import CommandError
from pollflow.cli.init import templates, write_project

PATHS = sorted(templates())


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("is_dangling", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_a_link_in_place_of_a_file_is_kept(tmp_path: Path, path: str, is_dangling: bool) -> None:
    target, link = tmp_path / "target", tmp_path / "project" / path
    if not is_dangling:
        target.write_text(templates()[path])
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    written = write_project(tmp_path / "project")
    assert (written.kept, written.same) == ((path,), ())
    assert sorted(written.new) == [other for other in PATHS if other != path]
    assert link.is_symlink()
    assert target.exists() is not is_dangling


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
@pytest.mark.parametrize("name", ["", "flows", "tasks"])
def test_what_is_no_folder_is_refused_and_nothing_is_written(tmp_path: Path, name: str, kind: str) -> None:
    outside, place = tmp_path / "outside", tmp_path / "project" / name
    outside.mkdir()
    place.parent.mkdir(exist_ok=True)
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(outside if kind == "link" else tmp_path / "nowhere")
    before = files(tmp_path)
    with pytest.raises(CommandError, match=f"{place} is a link or a file; init writes only into folders"):
        write_project(tmp_path / "project")
    assert files(tmp_path) == before
    assert not (tmp_path / "nowhere").exists()


def test_existing_files_are_kept_and_the_same_ones_are_recognized(tmp_path: Path) -> None:
    first = write_project(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "worker.py").write_text("mine")
    (tmp_path / "a" / "b" / "Dockerfile").unlink()
    os.mkfifo(tmp_path / "a" / "b" / "Dockerfile")
    second = write_project(tmp_path / "a" / "b")
    assert (sorted(first.new), first.same, first.kept) == (PATHS, (), ())
    assert (second.new, sorted(second.kept)) == ((), ["Dockerfile", "worker.py"])
    assert (tmp_path / "a" / "b" / "worker.py").read_text() == "mine"


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    outside, project, is_over = tmp_path / "outside", tmp_path / "project", threading.Event()
    outside.mkdir()

    def exchange() -> None:
        while not is_over.is_set():
            for name in ("flows", "tasks"):
                with suppress(OSError):
                    (project / name).rename(project / f"{name}.old")
                    (project / name).symlink_to(outside)
                with suppress(OSError):
                    (project / name).unlink()

    attacker = threading.Thread(target=exchange)
    attacker.start()
    try:
        for _ in range(100):
            with suppress(CommandError, OSError):
                write_project(project)
            shutil.rmtree(project, ignore_errors=True)
    finally:
        is_over.set()
        attacker.join()
    assert files(outside) == []
