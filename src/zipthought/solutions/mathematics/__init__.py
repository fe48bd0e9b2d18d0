"""Mathematics beyond arithmetic, by sympy: equations with letters, and final answers that are not one number.

Needs the extra `zipthought[math]`. Without it nothing is decided: `same_answer` is None and `decide` yields nothing.
LaTeX is prepared here (`latex`), and read and judged in a process of its own (`process`, `worker`), so that no input
can hold up the caller: a question that takes too long has no answer.
"""

from __future__ import annotations

from .algebra import decide
from .answers import is_answer, same_answer
from .process import is_available

__all__ = ["decide", "is_answer", "is_available", "same_answer"]
