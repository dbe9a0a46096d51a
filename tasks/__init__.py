"""The functions that flows call. Import each new module of this folder below."""

from tasks import polling

__all__ = ["polling"]
