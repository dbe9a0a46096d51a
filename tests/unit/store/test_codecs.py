"""The ready-made codecs: keys, key ids, compression, and what their errors and texts show."""

from __future__ import annotations

import base64
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from pollflow import AesGcmCodec, CodecContext, CodecError, ConfigurationError, DamagedRecord, MissingKey, ZstdCodec
from pollflow.store import CLEAR, AbsentCodec, ExecutionRef, Sealer

REF = ExecutionRef("flow", "x")
KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()
CANARY = "c4nary"
CONTEXT = CodecContext("flow", "x", "input", "", "k1")


def sealer(*key_ids: str) -> Sealer:
    return Sealer(AesGcmCodec({key_id: key_id.encode().ljust(32, b".") for key_id in key_ids}))


def test_without_a_codec_texts_are_stored_as_they_are() -> None:
    assert CLEAR.seal(REF, "input", '{"a":1}') == '{"a":1}'
    assert CLEAR.open(REF, "input", '{"a":1}') == '{"a":1}'


def test_the_first_key_encrypts_and_all_keys_decrypt() -> None:
    old = sealer("k1").seal(REF, "input", '{"a":1}')
    both = sealer("k2", "k1")
    assert both.open(REF, "input", old) == '{"a":1}'
    assert both.seal(REF, "input", "{}").startswith(":k2:")
    with pytest.raises(MissingKey, match='this process has no key "k1", only k2; add it to the keys of pollflow_codec'):
        sealer("k2").open(REF, "input", old)


def test_equal_texts_have_different_ciphertexts() -> None:
    texts = {sealer("k1").seal(REF, "input", "{}") for _ in range(100)}
    assert len(texts) == 100


@pytest.mark.parametrize(
    ("ref", "kind", "place"),
    [
        (ExecutionRef("flow", "y"), "state", "r"),
        (ExecutionRef("other", "x"), "state", "r"),
        (REF, "input", "r"),
        (REF, "state", "r.1.0"),
    ],
)
def test_a_record_belongs_to_its_place(ref: ExecutionRef, kind: str, place: str) -> None:
    for codec in (AesGcmCodec({"k1": KEY}), ZstdCodec(AesGcmCodec({"k1": KEY}))):
        text = Sealer(codec).seal(REF, "state", "{}", "r")
        assert Sealer(codec).open(REF, "state", text, "r") == "{}"
        with pytest.raises(DamagedRecord, match="raised InvalidTag"):
            Sealer(codec).open(ref, kind, text, place)


def test_no_text_of_a_codec_has_key_material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = AesGcmCodec({"k1": KEY})
    shown = [repr(codec), str(codec), repr(ZstdCodec(codec)), repr(Sealer(codec))]
    bad = [f"k1:{TEXT}x", TEXT, f"{TEXT}:k1", f"k1:{TEXT},k1:{TEXT}", "k1:", f"k 1:{TEXT}", f"k1:{TEXT[:20]}"]
    for text in bad:
        monkeypatch.setenv("POLLFLOW_CODEC_KEYS", text)
        with pytest.raises(ConfigurationError) as raised:
            AesGcmCodec.from_environment()
        path = tmp_path / "keys"
        path.write_text(text.replace(",", "\n"))
        with pytest.raises(ConfigurationError) as raised_by_file:
            AesGcmCodec.from_file(path)
        shown += [str(error) for e in (raised.value, raised_by_file.value) for error in (e, e.__cause__, e.__context__)]
    assert [text for text in shown if TEXT[:12] in text or str(KEY)[2:20] in text] == []


def test_keys_are_read_from_the_environment_and_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = base64.b64encode(b"x" * 32).decode()
    monkeypatch.setenv("POLLFLOW_CODEC_KEYS", f"k2:{other}, k1:{TEXT}")
    path = tmp_path / "keys"
    path.write_text(f"# the current key\nk2:{other}\n\nk1:{TEXT}\n")
    for codec in (AesGcmCodec.from_environment(), AesGcmCodec.from_file(path)):
        assert repr(codec) == "AesGcmCodec(key ids: k2, k1)"
        assert codec.decode(AesGcmCodec({"k1": KEY}).encode(b"data", CONTEXT), CONTEXT) == b"data"
    monkeypatch.delenv("POLLFLOW_CODEC_KEYS")
    with pytest.raises(ConfigurationError, match="the environment variable POLLFLOW_CODEC_KEYS has no keys"):
        AesGcmCodec.from_environment()
    with pytest.raises(ConfigurationError, match="cannot be read: FileNotFoundError"):
        AesGcmCodec.from_file(tmp_path / "none")


@pytest.mark.parametrize("keys", [{}, {"k1": b"short"}, {"k:1": KEY}, {"k1": "x" * 32}, {"": KEY}, {1: KEY}])
def test_keys_that_cannot_be_used_are_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError):
        AesGcmCodec(keys)


@pytest.mark.parametrize("keys", [None, 5, "k1", [KEY], {None: KEY}, {"k1": None}])
def test_keys_of_a_wrong_type_are_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AesGcmCodec(keys)
    assert str(KEY)[2:20] not in str(raised.value)


@pytest.mark.parametrize(
    "parameters",
    [
        *({"codec": wrong} for wrong in (5, "codec", object(), AesGcmCodec)),
        *({"level": wrong} for wrong in (0, 20, -1, 1.5, "3", True, None)),
        *({"max_bytes": wrong} for wrong in (0, -1, 1.5, "3", True, None)),
    ],
)
def test_wrong_parameters_of_compression_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="ZstdCodec"):
        ZstdCodec(**parameters)


def test_compression_makes_data_smaller_and_comes_first() -> None:
    text = '{"a":"' + "abc" * 3000 + '"}'
    plain, both = Sealer(ZstdCodec()), Sealer(ZstdCodec(AesGcmCodec({"k1": KEY})))
    for each in (plain, both):
        sealed = each.seal(REF, "input", text)
        assert len(sealed) < 200
        assert each.open(REF, "input", sealed) == text
    assert both.seal(REF, "input", text).startswith(":zstd+k1:")


def test_compression_reads_what_was_written_before_it() -> None:
    aes, plain = AesGcmCodec({"k1": KEY}), ZstdCodec()
    both = Sealer(ZstdCodec(aes))
    assert both.open(REF, "input", Sealer(aes).seal(REF, "input", "{}")) == "{}"
    assert both.open(REF, "input", Sealer(plain).seal(REF, "input", "{}")) == "{}"
    for lacking in (plain, aes):
        with pytest.raises(MissingKey):
            Sealer(lacking).open(REF, "input", both.seal(REF, "input", "{}"))


def test_a_relabelled_record_is_damaged() -> None:
    aes = AesGcmCodec({"k1": KEY})
    both = Sealer(ZstdCodec(aes))
    for text, label in ((both.seal(REF, "input", "{}"), ":k1:"), (Sealer(aes).seal(REF, "input", "{}"), ":zstd+k1:")):
        with pytest.raises(DamagedRecord, match="raised InvalidTag"):
            both.open(REF, "input", label + text.rpartition(":")[2])


def test_a_decompression_bomb_is_refused() -> None:
    codec = ZstdCodec(max_bytes=1000)
    context = CodecContext("flow", "x", "input", "", "zstd")
    assert codec.decode(codec.encode(b"x" * 1000, context), context) == b"x" * 1000
    bomb = ZstdCodec(level=19).encode(b"x" * 100_000_000, context)
    assert len(bomb) < 20_000
    with pytest.raises(ValueError, match="expand to more than 1000 bytes"):
        codec.decode(bomb, context)
    with pytest.raises(ValueError, match="no single compressed frame"):
        codec.decode(codec.encode(b"x", context)[:-2], context)


def test_digests_reveal_no_equal_values_of_other_executions() -> None:
    codec = AesGcmCodec({"k1": KEY})
    each = Sealer(codec)
    assert each.digest(REF, "long") == each.digest(REF, "long")
    elsewhere = each.digest(ExecutionRef("flow", "y"), "long")
    others = {elsewhere, sealer("k2").digest(REF, "long"), CLEAR.digest(REF, "long")}
    assert each.digest(REF, "long") not in others
    assert len(others) == 3
    assert Sealer(ZstdCodec(codec)).digest(REF, "long") == each.digest(REF, "long")


class Identity:
    def encode(self, data: bytes, context: CodecContext) -> Any:
        return data

    def decode(self, data: bytes, context: CodecContext) -> Any:
        return data


def test_a_codec_needs_no_more_than_encode_and_decode() -> None:
    each = Sealer(Identity())
    assert each.open(REF, "input", each.seal(REF, "input", "{}")) == "{}"
    assert each.digest(REF, "long") == each.digest(REF, "long") != CLEAR.digest(REF, "long")


def test_errors_of_a_codec_have_no_text_but_a_place() -> None:
    def broken(data: bytes, context: CodecContext) -> Any:
        raise ValueError(f"cannot handle {data!r}")

    codec = Identity()
    each = Sealer(codec)
    text = each.seal(REF, "input", CANARY)
    codec.encode = codec.decode = codec.digest = broken  # type: ignore[attr-defined, method-assign]
    calls = {
        "encode": lambda: each.seal(REF, "input", CANARY),
        "decode": lambda: each.open(REF, "input", text),
        "digest": lambda: each.digest(REF, CANARY),
    }
    for name, call in calls.items():
        with pytest.raises((CodecError, DamagedRecord)) as raised:
            call()
        assert re.search(rf"Identity\.{name} raised ValueError \(test_codecs\.py, line \d+\)", str(raised.value))
        assert CANARY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("key_id", [7, "a:b", "x" * 65, 'a"b', "ä"])
def test_a_key_id_that_cannot_be_stored_is_refused(key_id: Any) -> None:
    codec = Identity()
    codec.key_id = key_id  # type: ignore[attr-defined]
    with pytest.raises(CodecError, match=r"Identity\.key_id must be"):
        Sealer(codec).seal(REF, "input", "{}")


@pytest.mark.parametrize("digest", [7, "", "a b", "\x00", "ä"])
def test_a_digest_that_cannot_be_stored_is_refused(digest: Any) -> None:
    codec = Identity()
    codec.digest = lambda data, context: digest  # type: ignore[attr-defined]
    with pytest.raises(CodecError, match=r"Identity\.digest must return letters and digits"):
        Sealer(codec).digest(REF, "long")


@pytest.mark.parametrize("text", [":", ":k1", ":k1:é", ":k1:AB", ":k1:AAAA:AAAA", "::=", ":k1:AAAA\n", ":k1:AAAB="])
def test_a_malformed_record_is_damaged(text: str) -> None:
    with pytest.raises(DamagedRecord):
        sealer("k1").open(REF, "input", text)


def test_without_the_codec_errors_name_the_key_and_the_remedy() -> None:
    text = sealer("k1").seal(REF, "input", "{}")
    for lacking in (CLEAR, Sealer(AbsentCodec("proj.security:codec"))):
        with pytest.raises(MissingKey) as raised:
            lacking.open(REF, "input", text)
        message = str(raised.value)
        assert 'the input of execution "flow/x"' in message
        assert 'key "k1"' in message
        assert "-A on the command line" in message
    with pytest.raises(MissingKey, match=r"pollflow_codec is proj\.security:codec"):
        Sealer(AbsentCodec("proj.security:codec")).seal(REF, "input", "{}")
