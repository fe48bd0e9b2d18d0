"""The equations of a text, with those that only sympy can decide (`mathematics`)."""

from __future__ import annotations

from bisect import bisect_left

from .equations import AnyEquation, CheckedEquation, Equation, UnreadEquals
from .mathematics import decide, is_available
from .prose import find_equations
from .tokens import Token


def find_all_equations(text: str, question: str) -> list[AnyEquation]:
    """The equations of a text in its order. An equation with letters that holds, or follows from earlier ones and from
    the question, is a `CheckedEquation` instead of an `UnreadEquals`, if the extra `zipthought[math]` is installed.
    """
    equations = list(find_equations(text))
    is_plain = "\\" not in text and not any(isinstance(equation, UnreadEquals) for equation in equations)
    if is_plain or not is_available():
        return equations
    starts = [_start(equation) for equation in equations]
    placed: list[tuple[int, AnyEquation]] = []
    dropped: set[int] = set()
    for start, end, value, is_step in decide(text, question):
        inside = range(bisect_left(starts, start), bisect_left(starts, end))
        unread = {index for index in inside if isinstance(equations[index], UnreadEquals)}
        dropped |= unread
        if is_step and len(unread) == len(inside):  # Else another equation stands for it.
            stated = Token("w" if value is None else "n", end, end, value or 0)
            placed.append((start, CheckedEquation((start, end), stated, (), 1)))
    kept = [(starts[index], equation) for index, equation in enumerate(equations) if index not in dropped]
    return [equation for _, equation in sorted([*kept, *placed], key=lambda item: item[0])]


def _start(equation: AnyEquation) -> int:
    """An offset inside of an equation."""
    if isinstance(equation, UnreadEquals):
        return equation.start
    return equation.stated.start if isinstance(equation, Equation) else equation.span[0]
