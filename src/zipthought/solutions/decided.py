"""The equations of a text, with those that have letters and are decided (`linear`, `mathematics`)."""

from __future__ import annotations

from bisect import bisect_left

from .equations import AnyEquation, CheckedEquation, UnreadEquals, offset_of
from .linear import decide_linear
from .mathematics import decide, is_available
from .mathematics.algebra import Decided
from .prose import find_equations
from .tokens import Token


def find_all_equations(text: str, question: str, *, ask_sympy: bool = True) -> list[AnyEquation]:
    """The equations of a text in its order. An equation with letters that holds, or follows from earlier ones and from
    the question, is a `CheckedEquation` instead of an `UnreadEquals`.

    Linear ones in plain text are always decided; those in LaTeX by sympy, if it may be asked and the extra
    `zipthought[math]` is installed.
    """
    equations = list(find_equations(text))
    has_unread = any(isinstance(equation, UnreadEquals) for equation in equations)
    decided = list(decide_linear(text, question)) if has_unread else []
    if ask_sympy and is_available() and (has_unread or "\\" in text):
        decided = _without_overlaps([*decide(text, question), *decided])
    if not decided:
        return equations
    starts = [offset_of(equation) for equation in equations]
    placed: list[tuple[int, AnyEquation]] = []
    dropped: set[int] = set()
    for start, end, value, is_step in decided:
        inside = range(bisect_left(starts, start), bisect_left(starts, end))
        unread = {index for index in inside if isinstance(equations[index], UnreadEquals)}
        dropped |= unread
        if is_step and len(unread) == len(inside):  # Else another equation stands for it.
            stated = Token("w" if value is None else "n", end - 1, end, value or 0)
            placed.append((start, CheckedEquation((start, end), stated, (), 1)))
    kept = [(starts[index], equation) for index, equation in enumerate(equations) if index not in dropped]
    return [equation for _, equation in sorted([*kept, *placed], key=lambda item: item[0])]


def _without_overlaps(decided: list[Decided]) -> list[Decided]:
    """The equations in the order of the text, without those that overlap an earlier one of the list."""
    kept: list[Decided] = []
    for one in decided:
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept)
