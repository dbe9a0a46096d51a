"""`ZstdCodec`: compression with Zstandard, alone or before another codec.

It needs the extra `zstd` before Python 3.14.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from typing import Any

from pollflow.errors import ConfigurationError, MissingKey
from pollflow.store.codec import Codec, CodecContext

_MARK = "zstd"
_MAX_BYTES = 64 << 20


class ZstdCodec:
    """Compresses data, and passes them on to another codec, if one is given: `ZstdCodec(AesGcmCodec.from_file(…))`.

    Records that the other codec wrote alone stay readable. `level` is 1 (fast) to 19 (small). `max_bytes` limits what a
    record may expand to.
    """

    def __init__(self, codec: Codec | None = None, *, level: int = 3, max_bytes: int = _MAX_BYTES) -> None:
        if codec is not None and (isinstance(codec, type) or not isinstance(codec, Codec)):
            raise ConfigurationError(f"ZstdCodec needs a codec, not an object of type {type(codec).__name__}")
        if type(level) is not int or not 1 <= level <= 19:
            raise ConfigurationError("the level of ZstdCodec must be 1 to 19")
        if type(max_bytes) is not int or max_bytes < 1:
            raise ConfigurationError("max_bytes of ZstdCodec must be 1 or more")
        self._codec = codec
        self._level = level
        self._max_bytes = max_bytes
        self._zstd = _library()

    @property
    def key_id(self) -> str:
        """`zstd`, and the key id of the other codec after a plus sign."""
        return f"{_MARK}+{getattr(self._codec, 'key_id', '')}" if self._codec is not None else _MARK

    def encode(self, data: bytes, context: CodecContext) -> bytes:
        """Compress, then encode by the other codec."""
        parameters = self._zstd.CompressionParameter
        options = {parameters.compression_level: self._level, parameters.checksum_flag: 1}
        compressed = bytes(self._zstd.compress(data, options=options))
        return compressed if self._codec is None else self._codec.encode(compressed, _inner(context))

    def decode(self, data: bytes, context: CodecContext) -> bytes:
        """Decode by the other codec, then decompress. Raises MissingKey, and ValueError for more than `max_bytes`."""
        if context.key_id == _MARK:
            return self._decompressed(data)
        if self._codec is None:
            raise MissingKey(f'ZstdCodec has no other codec for the key "{context.key_id}"')
        if not context.key_id.startswith(f"{_MARK}+"):
            return self._codec.decode(data, context)
        return self._decompressed(self._codec.decode(data, _inner(context)))

    def digest(self, data: bytes, context: CodecContext) -> str:
        """Return the digest of the other codec; without one, a plain hash, since compression keeps nothing secret."""
        digest = getattr(self._codec, "digest", None)
        if digest is not None:
            return str(digest(data, _inner(context)))
        return hashlib.blake2b(data, digest_size=12).hexdigest()

    def __repr__(self) -> str:
        return f"ZstdCodec({'' if self._codec is None else repr(self._codec)})"

    def _decompressed(self, data: bytes) -> bytes:
        decompressor = self._zstd.ZstdDecompressor()
        expanded = bytes(decompressor.decompress(data, max_length=self._max_bytes + 1))
        if len(expanded) > self._max_bytes:
            raise ValueError(f"the data expand to more than {self._max_bytes} bytes")
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError("the data are no single compressed frame")
        return expanded


def _inner(context: CodecContext) -> CodecContext:
    """Return the context of the other codec. Its kind says that the data are compressed, which is so authenticated."""
    return replace(context, kind=f"{context.kind}+{_MARK}", key_id=context.key_id.removeprefix(f"{_MARK}+"))


def _library() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise ConfigurationError("ZstdCodec needs the library backports.zstd: pip install 'pollflow[zstd]'") from None
    return zstd
