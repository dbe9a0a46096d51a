"""`AesGcmCodec`: encryption with AES-256-GCM, by keys with ids. It needs the extra `crypto`.

Each execution has a key of its own, derived from the key of its record's id (HKDF), so that no key encrypts enough
records for two random nonces to meet. The context of a record is authenticated: in another execution, of another kind
or at another place it cannot be decrypted. No error and no `repr` has key material.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pollflow.errors import ConfigurationError, MissingKey
from pollflow.store.codec import CodecContext

_KEY_BYTES, _NONCE_BYTES = 32, 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_FORM = "ID:BASE64, where BASE64 is 32 random bytes (openssl rand -base64 32)"
_SUBKEYS = 1024
"""The derived keys that a process keeps."""


class AesGcmCodec:
    """Encrypts with AES-256-GCM. `keys` are 32 random bytes each, by id; the first one encrypts, all of them decrypt.

    Raises ConfigurationError for keys that cannot be used, or without the library `cryptography`.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not isinstance(keys, Mapping) or not keys:
            raise ConfigurationError(f"AesGcmCodec needs at least one key: {_FORM}")
        for key_id, key in keys.items():
            _check(key_id, key)
        self._keys = {key_id: bytes(key) for key_id, key in keys.items()}
        self.key_id = next(iter(keys))
        """The id of the first key."""
        self._cipher = lru_cache(_SUBKEYS)(self._new_cipher)
        self._aes = _aes_class()

    @classmethod
    def from_environment(cls, variable: str = "POLLFLOW_CODEC_KEYS") -> AesGcmCodec:
        """Read the keys of an environment variable: `ID:BASE64`, several separated by commas."""
        text = os.environ.get(variable, "")
        return cls(_parsed(text.split(","), f"the environment variable {variable}"))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> AesGcmCodec:
        """Read the keys of a file: `ID:BASE64` on each line. Empty lines and those that begin with # are ignored."""
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the keys in {path} cannot be read: {type(error).__name__}") from None
        return cls(_parsed([line for line in lines if not line.lstrip().startswith("#")], f"the file {path}"))

    def encode(self, data: bytes, context: CodecContext) -> bytes:
        """Encrypt with the first key, under a random nonce."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._cipher(self.key_id, context.flow, context.execution)
        return nonce + bytes(cipher.encrypt(nonce, data, _associated(context)))

    def decode(self, data: bytes, context: CodecContext) -> bytes:
        """Decrypt with the key that the record names. Raises MissingKey; InvalidTag for any change of the record."""
        cipher = self._cipher(context.key_id, context.flow, context.execution)
        return bytes(cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _associated(context)))

    def digest(self, data: bytes, context: CodecContext) -> str:
        """Return a hash under a key of the execution, so that it does not reveal equal values of other executions."""
        key = self._derived(self.key_id, "digest", context.flow, context.execution)
        return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"AesGcmCodec(key ids: {', '.join(self._keys)})"

    def _new_cipher(self, key_id: str, flow: str, execution: str) -> Any:
        return self._aes(self._derived(key_id, "encryption", flow, execution))

    def _derived(self, key_id: str, use: str, flow: str, execution: str) -> bytes:
        key = self._keys.get(key_id)
        if key is None:
            raise MissingKey(
                f'this process has no key "{key_id}", only {", ".join(self._keys)}; '
                "add it to the keys of pollflow_codec"
            )
        info = json.dumps(["pollflow", use, flow, execution]).encode()
        # HKDF-Expand (RFC 5869) to one block; the keys are uniformly random, so that nothing has to be extracted.
        return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def _associated(context: CodecContext) -> bytes:
    fields = [context.flow, context.execution, context.kind, context.place, context.key_id]
    return json.dumps(fields).encode()


def _check(key_id: str, key: bytes) -> None:
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise ConfigurationError("the id of a key must be 1 to 32 letters, digits, _ . or -")
    if not isinstance(key, bytes | bytearray) or len(key) != _KEY_BYTES:
        raise ConfigurationError(f'key "{key_id}" must have {_KEY_BYTES} bytes: openssl rand -base64 32')


def _parsed(texts: list[str], source: str) -> dict[str, bytes]:
    """Return keys by id. No error shows a text, since it may be a key."""
    keys: dict[str, bytes] = {}
    for number, text in enumerate((text.strip() for text in texts if text.strip()), start=1):
        key_id, colon, encoded = text.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            key = b""
        if not colon or len(key) != _KEY_BYTES or not _KEY_ID.fullmatch(key_id):
            raise ConfigurationError(f"key {number} of {source} must be {_FORM}")
        if key_id in keys:
            raise ConfigurationError(f'{source} has two keys with the id "{key_id}"')
        keys[key_id] = key
    if not keys:
        raise ConfigurationError(f"{source} has no keys: {_FORM}")
    return keys


def _aes_class() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigurationError("AesGcmCodec needs the library cryptography: pip install 'pollflow[crypto]'") from None
    return AESGCM
