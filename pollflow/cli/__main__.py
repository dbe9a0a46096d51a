"""`python -m pollflow.cli`: the command `pollflow` without its script on the PATH."""

from pollflow.cli import main

main()
