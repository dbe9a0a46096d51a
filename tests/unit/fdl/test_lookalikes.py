"""Characters that look like others: the message names the code point, and says what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollflow.errors import DefinitionError
from pollflow.fdl import lint, read_flow
from pollflow.fdl.lookalikes import hint, plain
from pollflow.testing import load_cases

HEAD = "version: v1\ntype: flow\nsteps:\n"
STEP = HEAD + "- type: wait\n  name: P\n"
COLON = "\uff1a (U+FF1A FULLWIDTH COLON): type :"
GOTO = HEAD + "- {{type: choice, name: C, default: {{goto: {}}}}}\n- {{type: succeed, name: {}}}\n"
ACUTE = '"\xe9" in two characters, the second is U+0301 COMBINING ACUTE ACCENT: type it as one, '


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (STEP + "  duration\uff1a10\n", 7, f"line 6 contains {COLON}"),
        (HEAD + "- {type: wait, name: P, duration\uff1a10}\n", 4, f'did you mean "duration"?; it contains {COLON}'),
        ("version\uff1av1\ntype: flow\n", 2, f"line 1 contains {COLON}"),
        (HEAD + "- {type: wait\uff0c name: P}\n", 4, "\uff0c (U+FF0C FULLWIDTH COMMA): type ,"),
        (HEAD + "- type\uff1await\n", 4, COLON),
        (STEP + "  duration: \uff11\uff10\n", 6, "\uff11 (U+FF11 FULLWIDTH DIGIT ONE): type 1"),
        (STEP + "  duration: 10\xa0\n", 6, "U+00A0 NO-BREAK SPACE: type a space"),
        (STEP + "  \u200bduration: 10\n", 6, 'did you mean "duration"?; it contains the invisible U+200B ZERO WIDTH'),
        (STEP + "  dura\u00adtion: 10\n", 6, 'did you mean "duration"?; it contains the invisible U+00AD SOFT HYPHEN'),
        (STEP + "  \ufeffduration: 10\n", 6, "the invisible U+FEFF ZERO WIDTH NO-BREAK SPACE: delete it"),
        (STEP + "\tduration: 10\n", 6, "line 6 contains a tab, U+0009: type a space"),
        (HEAD + "-\u3000{type: wait}\n", 4, "U+3000 IDEOGRAPHIC SPACE: type a space"),
        (STEP + "  \u201cduration\u201d: 10\n", 6, 'did you mean "duration"?; it contains \u201c (U+201C LEFT DOUBLE'),
        (HEAD + "- {type: fail, name: F, error: \u201ca: b\u201d}\n", 4, 'MARK): type "'),
        (HEAD + "- type: wait\u200b\n  name: P\n  duration: 1\n", 4, 'did you mean "wait"?; it contains the invisible'),
        (STEP + "  duration: \u22121\n", 6, "\u2212 (U+2212 MINUS SIGN): type -"),
        (HEAD + "- \u3010\u3011\n", 4, "\u3010 (U+3010 LEFT BLACK LENTICULAR BRACKET): type ["),
        (GOTO.format("Cafe\u0301", "Caf\xe9"), 4, f"but one looks equal (line 5): this name contains {ACUTE}"),
        (GOTO.format("Caf\xe9", "Cafe\u0301"), 4, f"the name of the step contains {ACUTE}"),
        (GOTO.format("A\u200b", "A"), 4, "but one looks equal (line 5): this name contains the invisible U+200B"),
        (
            GOTO.replace("default: {{", "choices: [{{condition: $.a \uff1d 1, ")
            .replace("}}}}\n-", "}}]}}\n-")
            .format("A", "A"),
            4,
            "\uff1d (U+FF1D FULLWIDTH EQUALS SIGN): type =",
        ),
        ("version: v1\ntype: flow\x00\n", 2, "U+0000, a character that YAML does not allow"),
    ],
)
def test_the_message_names_the_character_and_what_to_type(text: str, line: int, expected: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_flow(text)
    assert any(problem.line == line and expected in problem.message for problem in refused.value.problems), [
        str(problem) for problem in refused.value.problems
    ]


def test_texts_may_contain_any_character() -> None:
    name, cause = "\u7b49\u5f85\uff1a1\u3002", "\uff08\u5931\u8d25\uff0c\u91cd\u8bd5\uff09"
    text = f"- {{type: fail, name: {name}, error: E, cause: {cause}}}\n"
    assert lint(read_flow(HEAD + text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        HEAD + '- {type: wiat, name: "P"}\n',
        "# \u4e2d\u6587\uff1a\u6ce8\u91ca\n" + HEAD + "- {type: wait\n",
        HEAD + '- {type: wait, name: "\u7b49\uff0c\u5f85", duration: 1\n',
        HEAD + '- {type: choice, name: C, choices: [{condition: "$.a == \\"\u5b8c\uff0c\u6210\\" &&", goto: D}]}\n',
        HEAD + "- {type: choice, name: C, default: {goto: D}}\n",
    ],
)
def test_an_error_without_a_look_alike_names_none(text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_flow(text)
    assert "contains" not in str(refused.value)


def test_a_flow_test_names_them_too(tmp_path: Path) -> None:
    file = tmp_path / "a.flowtest.yaml"
    file.write_text("flow: a.yaml\ncases:\n- {name: x, expect\uff1a{status: Succeeded}}\n", "utf-8")
    with pytest.raises(DefinitionError, match="U\\+FF1A FULLWIDTH COLON"):
        load_cases(file)
    file.write_text("flow: a.yaml\ncases: [{name: x, expect: {seconds: \uff11}}]\n", "utf-8")
    with pytest.raises(DefinitionError, match="U\\+FF11 FULLWIDTH DIGIT ONE"):
        load_cases(file)


def test_emoji_and_joined_scripts_are_no_look_alikes() -> None:
    for text in ("\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e", "\u4e2d\u6587", "\xe9", "a b", ""):
        assert (hint(text), plain(text)) == ("", text)
