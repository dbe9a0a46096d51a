"""Encoding of the data of users before it is stored: the one seam between the store and a codec.

Encoded text is `:KEY_ID:BASE64`. No JSON text and no block of compacted events begins with a colon, so encoded and
clear records can be mixed. Without a codec, texts are stored as they are.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import traceback
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, runtime_checkable

from pollflow.errors import CodecError, DamagedRecord, MissingKey, PollflowError
from pollflow.store.keys import ExecutionRef

INPUT, OUTPUT, CAUSE = "input", "output", "cause"
STATE, RESULT, EVENT, VALUE, BLOCK = "state", "result", "event", "value", "block"
"""The kinds of encoded texts."""

_MARK = ":"
_KEY_ID = re.compile(r"[A-Za-z0-9_.+-]{0,64}")
_PROCESS_KEY = secrets.token_bytes(32)
"""Hashes values for a codec without `digest`. Each process then stores a long value once."""


@dataclass(frozen=True, slots=True)
class CodecContext:
    """What a record is: the execution that it belongs to, its kind, and its place within the execution.

    `kind` is `input`, `output`, `cause`, `state` (of a frame), `result` (of a branch or iteration), `event`, `value` (a
    long value of events) or `block` (of older events). `key_id` is that of the codec when it encoded the record.
    """

    flow: str
    execution: str
    kind: str
    place: str = ""
    key_id: str = ""


@runtime_checkable
class Codec(Protocol):
    """Encodes the data of users before it is stored, and decodes it.

    `decode` raises MissingKey for a record that another process can decode, and any other exception for a damaged one.
    A codec may also have `key_id`, a text that names its key and that the store keeps beside each record, and
    `digest(data, context) -> str`, by which equal long values of an execution are stored once.
    """

    def encode(self, data: bytes, context: CodecContext) -> bytes:
        """Return the encoded data."""
        ...

    def decode(self, data: bytes, context: CodecContext) -> bytes:
        """Return the data that `encode` was called with, under the same context."""
        ...


@dataclass(frozen=True, slots=True)
class Sealer:
    """Encodes texts by a codec, if there is one, and decodes encoded ones."""

    codec: Codec | None = None

    @property
    def key_id(self) -> str:
        """The id of the key that new records are encoded with; empty for a codec without ids. Raises CodecError."""
        found = getattr(self.codec, "key_id", "")
        if not isinstance(found, str) or not _KEY_ID.fullmatch(found):
            raise CodecError(f"{self._name}.key_id must be up to 64 letters, digits, _ . + or -")
        return found

    def seal(self, ref: ExecutionRef, kind: str, text: str, place: str = "") -> str:
        """Return the stored form of a text. Raises CodecError."""
        return text if self.codec is None else self.seal_bytes(ref, kind, text.encode(), place)

    def seal_bytes(self, ref: ExecutionRef, kind: str, data: bytes, place: str) -> str:
        """Return the encoded form of bytes. Raises CodecError, and TypeError without a codec."""
        if self.codec is None:
            raise TypeError(kind)
        key_id = self.key_id
        context = CodecContext(ref.flow, ref.name, kind, place, key_id)
        try:
            encoded = self.codec.encode(data, context)
        except PollflowError:
            raise
        except Exception as error:
            raise CodecError(f"{self._name}.encode raised {_without_text(error)} for the {kind}") from None
        if not isinstance(encoded, bytes):
            raise CodecError(f"{self._name}.encode must return bytes, not {type(encoded).__name__}")
        return f"{_MARK}{key_id}{_MARK}{base64.b64encode(encoded).decode()}"

    def open(self, ref: ExecutionRef, kind: str, text: str, place: str = "") -> str:
        """Return the text of a stored form. Raises MissingKey, DamagedRecord."""
        if not is_sealed(text):
            return text
        try:
            return self.open_bytes(ref, kind, text, place).decode()
        except UnicodeDecodeError as error:
            raise _damaged(ref, kind, "its text is not UTF-8") from error

    def open_bytes(self, ref: ExecutionRef, kind: str, text: str, place: str) -> bytes:
        """Return the bytes of an encoded form. Raises MissingKey, DamagedRecord."""
        key_id, encoded = _parts(ref, kind, text)
        if self.codec is None:
            raise MissingKey(
                f'the {kind} of execution "{ref}" is encoded{_with_key(key_id)}, and this process has no codec; use '
                "the app with its pollflow_codec: Client(app), or -A on the command line"
            )
        try:
            data = self.codec.decode(encoded, CodecContext(ref.flow, ref.name, kind, place, key_id))
        except MissingKey as error:
            raise MissingKey(f'the {kind} of execution "{ref}" cannot be decoded: {error}') from error
        except PollflowError:
            raise
        except Exception as error:
            raise _damaged(ref, kind, f"{self._name}.decode raised {_without_text(error)}") from None
        if not isinstance(data, bytes):
            raise _damaged(ref, kind, f"{self._name}.decode must return bytes, not {type(data).__name__}")
        return data

    def digest(self, ref: ExecutionRef, text: str) -> str:
        """Return the name under which a long value of events is stored. Raises CodecError."""
        if self.codec is None:
            return _hash(text, b"")
        digest = getattr(self.codec, "digest", None)
        if digest is None:
            return _hash(f"{ref} {text}", _PROCESS_KEY)
        context = CodecContext(ref.flow, ref.name, VALUE, "", self.key_id)
        try:
            name = digest(text.encode("utf-8", "surrogatepass"), context)
        except Exception as error:
            raise CodecError(f"{self._name}.digest raised {_without_text(error)}") from None
        if not isinstance(name, str) or not name.isalnum() or not name.isascii():
            raise CodecError(f"{self._name}.digest must return letters and digits")
        return name

    def needs_seal(self, text: str) -> bool:
        """Return whether a text is not encoded with the current key."""
        return key_id_of(text) != self.key_id

    @property
    def _name(self) -> str:
        return type(self.codec).__name__


CLEAR = Sealer()


class AbsentCodec:
    """Stands for the codec of the workers in a client without the app: it can neither encode nor decode."""

    def __init__(self, name: str) -> None:
        self._name = name

    def encode(self, data: bytes, context: CodecContext) -> bytes:
        """Refuse to store clear data beside that of the workers."""
        raise MissingKey(
            f"the workers encode data (pollflow_codec is {self._name}), and this process has no codec; use the app: "
            "Client(app), or -A on the command line"
        )

    def decode(self, data: bytes, context: CodecContext) -> bytes:
        """Name the codec."""
        raise MissingKey(
            f"it is encoded{_with_key(context.key_id)} by the pollflow_codec of the workers ({self._name}), and this "
            "process has no codec; use the app: Client(app), or -A on the command line"
        )


def is_sealed(text: str) -> bool:
    """Return whether a stored text is encoded."""
    return text.startswith(_MARK)


def key_id_of(text: str) -> str | None:
    """Return the key id of an encoded text; None for a clear one."""
    return text.split(_MARK, 2)[1] if is_sealed(text) else None


def _parts(ref: ExecutionRef, kind: str, text: str) -> tuple[str, bytes]:
    try:
        _, key_id, encoded = text.split(_MARK)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _damaged(ref, kind, "it is not Base64") from error
    if base64.b64encode(data).decode() != encoded:  # the last character has bits that Base64 ignores
        raise _damaged(ref, kind, "it is not Base64")
    return key_id, data


def _damaged(ref: ExecutionRef, kind: str, reason: str) -> DamagedRecord:
    return DamagedRecord(f'the {kind} of execution "{ref}" cannot be decoded: {reason}')


def _without_text(error: Exception) -> str:
    """Return the type and place of an exception of a codec. Its text may have data, and so may a chained traceback."""
    (frame,) = traceback.extract_tb(error.__traceback__, -1)
    return f"{type(error).__name__} ({Path(frame.filename).name}, line {frame.lineno})"


def _with_key(key_id: str) -> str:
    return f' with key "{key_id}"' if key_id else ""


def _hash(text: str, key: bytes) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12, key=key).hexdigest()
