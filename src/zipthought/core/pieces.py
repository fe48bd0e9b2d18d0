"""Pieces: words and punctuation marks, a measure of length that needs no tokenizer."""

from __future__ import annotations

import re

# A faster count for ASCII text: runs of word characters, and punctuation characters.
_ASCII = [chr(code) for code in range(128)]
_BLANK = "_ \t\n\r\f\v\x1c\x1d\x1e\x1f"
_WORDS_ONLY = bytes(code if (code < 128 and _ASCII[code].isalnum()) or code == ord("_") else 32 for code in range(256))
_NO_PIECE = bytes(code for code in range(128) if _ASCII[code].isalnum() or _ASCII[code] in _BLANK)
_PIECE = re.compile(r"\w+|[^\w\s]")


def count_pieces(text: str) -> int:
    """Word and punctuation pieces: a token count that needs no tokenizer."""
    if not text.isascii():
        return len(_PIECE.findall(text))
    data = text.encode()
    return len(data.translate(_WORDS_ONLY).split()) + len(data.translate(None, _NO_PIECE))
