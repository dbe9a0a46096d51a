"""The grammars of paths and conditions, and their syntax errors. The meaning of an expression is not known here.

Mappings contain paths alone; conditions contain them as operands. Both grammars are LALR, so parsing takes linear time
and does not recurse. Columns count from 1 within the expression's own text.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import takewhile
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from pollflow.amounts import over_limit

MAX_LENGTH = 4096
"""The longest expression, in characters."""
MAX_NESTING = 50
"""The deepest nesting of parentheses, prefix operators and `? :`."""

PATH_GRAMMAR = r"""
start: ROOT part*
part: "." KEY               -> key
    | "[" INDEX "]"         -> index
    | "[" STRING "]"        -> quoted_key
    | "[" WILDCARD "]"      -> wildcard
ROOT: /\$(?:input|local|context)?(?![^.\[])/
KEY: /[^\s.\[\]"'`$*(),]+/
INDEX: /-?[0-9]+/
WILDCARD: "*"
STRING: /"(?:[^"\\]|\\.)*"|'[^']*'/
"""

CONDITION_GRAMMAR = r"""
?start: ternary
?ternary: or_chain
        | or_chain "?" ternary ":" ternary  -> conditional
?or_chain: and_chain ("||" and_chain)*
?and_chain: comparison ("&&" comparison)*
?comparison: sum (COMPARE sum)*
?sum: product (ADD product)*
?product: unary (MULTIPLY unary)*
?unary: atom
      | "!" unary                           -> negated
      | ADD unary                           -> signed
?atom: PATH                                 -> read
     | NUMBER                               -> number
     | STRING                               -> text
     | RAW                                  -> raw_text
     | "true"                               -> true
     | "false"                              -> false
     | "null"                               -> null
     | "(" ternary ")"                      -> group
COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
ADD: "+" | "-"
MULTIPLY: "*" | "/" | "%"
NUMBER: /[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?!\w)/
STRING: /"(?:[^"\\]|\\.)*"/s
RAW: /`[^`]*`/
PATH: /\$(?:\.\w+|\[(?:-?[0-9]+|\*|"(?:[^"\\]|\\.)*"|'[^']*')\])*(?!\w)/
%ignore /[ \t\r\n]+/
"""


class ExpressionSyntaxError(ValueError):
    """The text is not a valid expression; `column` counts from 1."""

    def __init__(self, message: str, column: int = 1) -> None:
        self.message = message
        self.column = column
        super().__init__(f"{message} (column {column})")


class ExpressionError(Exception):
    """An operator does not apply to its values. The step fails with `FnF.RuntimeError` and this cause."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(cause)


def parse(grammar: str, text: str, builder: type[Transformer[Token, Any]]) -> Any:
    """Parse the text and return the result of `builder`; raises `ExpressionSyntaxError`."""
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntaxError(over_limit(f"it has {len(text):,} characters", MAX_LENGTH), MAX_LENGTH + 1)
    if not text.strip():
        raise ExpressionSyntaxError("empty")
    try:
        return _parser(grammar, builder).parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(grammar, text, error) from None


def unquoted(token: Token) -> str:
    """Return the value of a quoted token; escapes are those of JSON."""
    if token[0] != '"':
        return str(token[1:-1])
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        message = "the text has an escape that JSON does not have"
        raise ExpressionSyntaxError(message, (token.start_pos or 0) + 1) from None


@cache
def _parser(grammar: str, builder: type[Transformer[Token, Any]]) -> Lark:
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=builder())


def _syntax_error(grammar: str, text: str, error: UnexpectedInput) -> ExpressionSyntaxError:
    ended = isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
    if ended:
        return ExpressionSyntaxError("unexpected end", len(text.rstrip()) + 1)
    position = error.pos_in_stream
    if position is None or not 0 <= position < len(text):
        return ExpressionSyntaxError("invalid syntax")
    if isinstance(error, UnexpectedCharacters):
        return ExpressionSyntaxError(_unexpected(grammar, text, position), position + 1)
    found = str(error.token) if isinstance(error, UnexpectedToken) else text[position]
    hint = _path_hint(found[0]) if grammar == PATH_GRAMMAR else ""
    return ExpressionSyntaxError(_with_hint(found, hint), position + 1)


_HINTS = {
    "'": "write texts in double quotes or backticks",
    "=": "write == for equality",
    "$": "a condition reads the step's input only, as $.key",
    "&": "write && for and",
    "|": "write || for or",
}


def _unexpected(grammar: str, text: str, position: int) -> str:
    found = text[position]
    if found in '"`':
        return f"the text that starts with {_shown(found)} is not closed"
    word = "".join(takewhile(lambda character: character.isalnum() or character == "_", text[position:])) or found
    hint = _path_hint(found) if grammar == PATH_GRAMMAR else _condition_hint(word)
    return _with_hint(word, hint)


def _with_hint(found: str, hint: str) -> str:
    return f"unexpected {_shown(found)}" + (f"; {hint}" if hint else "")


def _path_hint(found: str) -> str:
    if found == "$":
        return "a path starts with $, $input, $local or $context"
    return "" if found in ".[]" else 'quote a key in brackets, as ["a b"]'


def _condition_hint(word: str) -> str:
    if word[0].isalpha() or word[0] == "_":
        return f'quote a text as "{word[:20]}", and a key in brackets as $["a-b"]'
    return _HINTS.get(word[0], "")


def _shown(found: str) -> str:
    return json.dumps(found if len(found) <= 40 else found[:40] + "…", ensure_ascii=False)
