"""`python -m pollflow.cli`: the command, where its script is not on the PATH."""

from pollflow.cli.app import main

main()
