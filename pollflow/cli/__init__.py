"""The command `pollflow`. It knows terminals and processes; it does not know Redis keys or messages."""

from pollflow.cli.search_path import leave_out_current_folder

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names."""
    leave_out_current_folder()
    from pollflow.cli.app import main as run  # it imports packages that a file of the current folder could replace

    run()
