"""The command `pollflow`."""
