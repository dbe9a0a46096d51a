"""Files and folders that belong to their owner alone, and where the server listens."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pollflow.errors import ConfigurationError
from pollflow.server import private
from pollflow.server.folders import private_folder, runtime_folders, temporary_folder
from pollflow.server.locks import FileLock
from pollflow.server.sockets import NAME, choose_socket

STRANGER = 65534
SHORT = Path("/tmp").resolve()  # noqa: S108 - the folder of last resort
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file of another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    """Let a mode that no code restricts be visible to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a private folder with a short path, which is also the one for temporary files."""
    with tempfile.TemporaryDirectory(prefix="pf-", dir=SHORT) as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield Path(name).resolve()


def read(path: Path) -> str:
    with open(path, opener=private.opener) as file:
        return file.read()


def append(path: Path) -> str:
    with open(path, "a", opener=private.opener) as file:
        file.write("line")
    return "line"


def rewrite(path: Path) -> str:
    with open(path, "w", opener=private.opener) as file:
        file.write("line")
    return "line"


def lock(path: Path) -> str:
    FileLock(path).close()
    return ""


OPENINGS = [read, append, rewrite, lock]


@pytest.mark.parametrize("use", [append, rewrite, lock])
def test_a_new_file_is_private(folder: Path, use: Callable[[Path], str]) -> None:
    path = folder / "file"
    assert path.exists() is False
    text = use(path)
    assert (mode(path), path.read_text()) == (0o600, text)


@pytest.mark.parametrize("use", OPENINGS)
def test_an_existing_file_becomes_private(folder: Path, use: Callable[[Path], str]) -> None:
    path = folder / "file"
    path.touch(0o666)
    use(path)
    assert mode(path) == 0o600


@pytest.mark.parametrize("use", OPENINGS)
@pytest.mark.parametrize("is_dangling", [True, False])
def test_a_link_in_place_of_a_file_is_refused(folder: Path, use: Callable[[Path], str], is_dangling: bool) -> None:
    target, path = folder / "target", folder / "file"
    if not is_dangling:
        target.touch(0o644)
    path.symlink_to(target)
    with pytest.raises(ConfigurationError, match=r"file is a link, so pollflow does not use it; delete it"):
        use(path)
    assert not target.exists() if is_dangling else (mode(target), target.read_text()) == (0o644, "")


@pytest.mark.parametrize("use", OPENINGS)
def test_a_pipe_in_place_of_a_file_is_refused_at_once(folder: Path, use: Callable[[Path], str]) -> None:
    os.mkfifo(folder / "file", 0o600)
    with pytest.raises((ConfigurationError, OSError), match=r"is neither a file nor a folder|No such device"):
        use(folder / "file")


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "file").mkdir(0o700)
    with pytest.raises(ConfigurationError, match="file is not a file"):
        read(folder / "file")


@as_root
@pytest.mark.parametrize("use", OPENINGS)
def test_a_file_of_another_user_is_refused(folder: Path, use: Callable[[Path], str]) -> None:
    path = folder / "file"
    path.write_text("theirs")
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(ConfigurationError, match=rf"belongs to another user \(uid {STRANGER}, not 0\)"):
        use(path)
    assert (mode(path), path.read_text()) == (0o666, "theirs")


@pytest.mark.parametrize("use", [*OPENINGS, lambda path: private.make_contents_private(path.parent)])
def test_a_hard_link_in_place_of_a_file_is_refused(folder: Path, use: Callable[[Path], object]) -> None:
    target = folder / "target"
    target.write_text("elsewhere")
    private.make_folder(folder / "own")
    (folder / "own" / "file").hardlink_to(target)
    with pytest.raises(ConfigurationError, match=r"file has a second name \(a hard link\), so"):
        use(folder / "own" / "file")
    assert (mode(target), target.read_text()) == (0o666, "elsewhere")


def test_an_existing_file_is_emptied_when_it_is_rewritten(folder: Path) -> None:
    (folder / "file").write_text("an earlier and longer text")
    assert (folder / "file").read_text() != rewrite(folder / "file") == (folder / "file").read_text()


def test_a_folder_is_made_private_whether_it_is_new_or_not(folder: Path) -> None:
    for name in ("new", "existing"):
        if name == "existing":
            (folder / name).mkdir(0o777)
        private.make_folder(folder / name)
        assert mode(folder / name) == 0o700


@pytest.mark.parametrize("target", ["nowhere", "target"])
def test_a_link_in_place_of_a_folder_is_refused(folder: Path, target: str) -> None:
    (folder / "target").mkdir(0o755)
    (folder / "link").symlink_to(folder / target)
    with pytest.raises(ConfigurationError, match="link is a link"):
        private.make_folder(folder / "link")
    assert mode(folder / "target") == 0o755
    assert not (folder / "nowhere").exists()


def test_a_file_in_place_of_a_folder_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(ConfigurationError, match="file is not a folder"):
        private.make_folder(folder / "file")


@as_root
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    (folder / "theirs").mkdir(0o777)
    os.chown(folder / "theirs", STRANGER, STRANGER)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        private.make_folder(folder / "theirs")
    assert mode(folder / "theirs") == 0o777


def test_all_contents_of_the_folder_of_a_project_become_private(folder: Path) -> None:
    made = folder / ".pollflow" / "redis"
    made.mkdir(0o777, parents=True)
    (made / "file").touch(0o666)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made / "socket"))
    assert private_folder(folder) == folder / ".pollflow"
    assert {path.name: mode(path) for path in folder.rglob("*")} == {
        ".pollflow": 0o700,
        ".gitignore": 0o600,
        "redis": 0o700,
        "file": 0o600,
        "socket": 0o600,
    }


def test_folders_that_are_nested_too_deeply_are_refused(folder: Path) -> None:
    (folder / ".pollflow" / "/".join("d" * 60)).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="is nested too deeply, so pollflow does not use it"):
        private_folder(folder)


def test_an_existing_gitignore_is_not_changed(folder: Path) -> None:
    (folder / ".pollflow").mkdir()
    (folder / ".pollflow" / ".gitignore").write_text("!keep\n")
    assert private_folder(folder)
    assert (folder / ".pollflow" / ".gitignore").read_text() == "!keep\n"


class TestClosed:
    """Whether another user can change a folder, or put another one in its place."""

    def test_a_private_folder_in_the_one_for_temporary_files_is_closed(self, folder: Path) -> None:
        assert private.is_closed(folder)

    @pytest.mark.parametrize("found", [0o701, 0o710, 0o770, 0o777])
    def test_a_folder_that_others_can_enter_is_not(self, folder: Path, found: int) -> None:
        folder.chmod(found)
        assert not private.is_closed(folder)

    @pytest.mark.parametrize(("found", "is_closed"), [(0o755, True), (0o775, False), (0o777, False), (0o1777, True)])
    def test_a_folder_that_others_can_replace_is_not(self, folder: Path, found: int, is_closed: bool) -> None:
        private.make_folder(folder / "inner")
        folder.chmod(found)
        assert private.is_closed(folder / "inner") is is_closed

    @as_root
    def test_a_folder_below_that_of_another_user_is_not(self, folder: Path) -> None:
        private.make_folder(folder / "theirs")
        private.make_folder(folder / "theirs" / "mine")
        os.chown(folder / "theirs", STRANGER, STRANGER)
        assert not private.is_closed(folder / "theirs" / "mine")
        assert not private.is_closed(folder / "theirs")

    def test_a_path_through_a_link_is_not(self, folder: Path) -> None:
        private.make_folder(folder / "real")
        private.make_folder(folder / "real" / "inner")
        (folder / "link").symlink_to(folder / "real")
        assert private.is_closed(folder / "real" / "inner")
        assert not private.is_closed(folder / "link" / "inner")
        assert not private.is_closed(folder / "link")


class TestRuntimeFolders:
    """The folders of a user outside of projects."""

    def test_the_runtime_folder_of_the_session_comes_first(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        private.make_folder(folder / "run")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        found = iter(runtime_folders())
        assert (next(found), next(found)) == (folder / "run" / "pollflow", folder / f"pollflow-{os.getuid()}")

    @pytest.mark.parametrize("name", ["open", "link", "missing", "relative"])
    def test_a_runtime_folder_that_is_not_private_is_not_used(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        (folder / "open").mkdir(0o755)
        (folder / "link").symlink_to(folder / "open")
        monkeypatch.setenv("XDG_RUNTIME_DIR", "relative" if name == "relative" else str(folder / name))
        assert next(iter(runtime_folders())) == temporary_folder() == folder / f"pollflow-{os.getuid()}"
        assert mode(temporary_folder()) == 0o700

    def test_a_link_in_place_of_the_temporary_folder_is_refused(self, folder: Path) -> None:
        (folder / "target").mkdir(0o700)
        (folder / f"pollflow-{os.getuid()}").symlink_to(folder / "target")
        with pytest.raises(ConfigurationError, match=r"is a link, .*; or set TMPDIR to a folder of your own"):
            temporary_folder()

    @as_root
    @pytest.mark.parametrize("found", [0o700, 0o777])
    def test_a_temporary_folder_of_another_user_is_refused(self, folder: Path, found: int) -> None:
        theirs = folder / "pollflow-0"
        theirs.mkdir(found)
        os.chown(theirs, STRANGER, STRANGER)
        with pytest.raises(ConfigurationError, match=r"belongs to another user .*; or set TMPDIR to a folder"):
            temporary_folder()
        assert (mode(theirs), list(theirs.iterdir())) == (found, [])

    def test_a_temporary_folder_that_others_can_replace_is_refused(self, folder: Path) -> None:
        folder.chmod(0o777)
        with pytest.raises(ConfigurationError, match=r"other users can replace .*; set TMPDIR to a folder of your own"):
            temporary_folder()


class TestSocket:
    """Where the server of a folder listens."""

    @staticmethod
    def made(folder: Path) -> Path:
        folder.mkdir(0o700)
        return folder

    def test_it_is_in_the_folder_of_the_server_if_possible(self, folder: Path) -> None:
        assert choose_socket(folder) == folder / NAME
        assert list(folder.iterdir()) == []

    def test_an_earlier_socket_is_replaced(self, folder: Path) -> None:
        with socket.socket(socket.AF_UNIX) as earlier:
            earlier.bind(str(folder / NAME))
        assert choose_socket(folder) == folder / NAME
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("name", ["d" * 120, "50%20 #?", "größe"])
    def test_a_long_path_or_one_that_urls_escape_leads_to_the_runtime_folder(self, folder: Path, name: str) -> None:
        chosen = choose_socket(self.made(folder / name))
        assert chosen.parent == folder / f"pollflow-{os.getuid()}"
        assert chosen != choose_socket(self.made(folder / f"{name}2"))
        moved = (folder / name).rename(folder / f"{name}3")
        assert choose_socket(moved) == chosen

    def test_a_folder_that_others_can_replace_leads_to_the_runtime_folder(self, folder: Path) -> None:
        (folder / "shared").mkdir(0o777)
        assert choose_socket(self.made(folder / "shared" / "mine")).parent == folder / f"pollflow-{os.getuid()}"

    def test_a_folder_that_cannot_hold_a_socket_leads_to_the_runtime_folder(self, folder: Path) -> None:
        (folder / NAME).mkdir()
        assert choose_socket(folder).parent == folder / f"pollflow-{os.getuid()}"

    def test_a_deep_folder_for_temporary_files_is_passed_over(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deep = self.made(folder / ("d" * 120))
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        assert choose_socket(deep).parent == SHORT / f"pollflow-{os.getuid()}"
