"""The functions that flows call. All mechanism is in `pollflow`; a new module here is imported below."""

from tasks import polling

__all__ = ["polling"]
