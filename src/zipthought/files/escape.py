"""Text of unknown origin in a terminal, Markdown, CSV and YAML: it stays text there, and all of it can be seen."""

from __future__ import annotations

import re
from typing import Any

_MARKUP = re.compile(
    r"[\\`*\[\]<>|~&$@]"  # Code, emphasis, links, HTML, cells, entities, formulas, mentions.
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # Emphasis; n_ops has none.
    r"|^[#+=-]"  # Headings, lists and rules.
)
_BEFORE_MARKUP = re.compile(r"^\d+(?=[.)])|\b(?:https?|ftp|www)(?=[:.])", re.IGNORECASE)
"""What becomes a list or a link by the character after it."""
_NOT_IN_CSV = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def visible(text: object, keep: str = "") -> str:
    """The text on one line, with escapes for what a terminal would act on or not show, as `repr` writes them:
    ``\\x1b`` for ESC, ``\\n``, ``\\u202e`` for a change of direction, ``\\ud800`` for half a surrogate pair.

    Characters in `keep` stay as they are.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def markdown_text(text: object) -> str:
    """The text in Markdown, on one line: no markup, no HTML, no link, no end of a table's cell."""
    return _BEFORE_MARKUP.sub(r"\g<0>\\", _MARKUP.sub(r"\\\g<0>", visible(text).strip()))


def markdown_code(text: str, language: str = "") -> str:
    """The text as a block of code, whatever it holds."""
    text = visible(text, keep="\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def csv_cell(value: Any) -> Any:
    """The value of a CSV cell. Text that a spreadsheet would take for a formula gets a quote before it, and control
    characters other than tab and newline are escaped; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = _NOT_IN_CSV.sub(lambda match: repr(match[0])[1:-1], value)
    return f"'{text}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) else text


def yaml_string(text: str) -> str:
    """The text as a quoted scalar of YAML, which every version reads: ASCII, with an escape for anything else."""
    plain = re.compile(r"[ !#-\[\]-~]")  # Printable ASCII without the quote and the backslash.
    return '"' + "".join(c if plain.match(c) else _yaml_escape(ord(c)) for c in text) + '"'


def _yaml_escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
