"""Thinking traces: the text up to ``</think>``, in which people and models try, stop, and take back.

In a trace, an equation that does not hold is no fault of the solution in four cases; it is then unread:

- it is left open or rounded (``2028 * 26 = let's see``, ``1 / 7 = 0.14``);
- it runs on (``10 + 6 + 3 = 10 + 6 = 16``: the last side is the first part of the one before; ``5 + 3 = 8 + 2 = 10``);
- the trace takes it back (``7 * 8 = 54. No, wait``);
- the trace has it again with another result that holds.

What stands after the trace has no such freedom.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from .equations import AnyEquation, CheckedEquation, Equation, FalseEquation, UnreadEquals
from .prose import find_equations
from .sentences import trace_end

_LEFT_OPEN = frozenset(("no_result", "rounded", "unreadable_number"))
_MAX_RETRACTION = 160  # Characters between an equation and the words that take it back.
_RETRACTION = re.compile(
    r"\b(?:wait|hmm|oops|scratch that|hold on|no,|not (?:right|correct|true)|(?:is|'s|was) (?:wrong|incorrect|off)"
    r"|(?:made|is|was|'s|my|another) (?:a |an )?(?:small |little |arithmetic )?mistake|mistaken|miscalculated"
    r"|doesn't (?:seem|look|make)|can(?:'|no)t be|let me (?:re|try again|check that))",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"=|\bequals\b")
_NUMBER = re.compile(r"[$£€]?(\d[\d,]*(?:\.\d+)?)")
_BLANKS = re.compile(r"[\s$]")


def pardoned(text: str, equations: Iterable[AnyEquation]) -> Iterator[AnyEquation]:
    """The equations of a text, where those of a trace that are no fault are unread."""
    end = trace_end(text)
    if not end:
        yield from equations
        return
    found = list(equations)
    held = {_left_side(text, equation) for equation in found if isinstance(equation, Equation | CheckedEquation)}
    for equation in found:
        if isinstance(equation, FalseEquation) and equation.span[1] <= end and _is_no_fault(text, equation, held):
            match = _EQUALS.search(text, *equation.span)
            yield UnreadEquals(match.start() if match else equation.span[0])
        else:
            yield equation


def _is_no_fault(text: str, equation: FalseEquation, held: set[str]) -> bool:
    if equation.fault in _LEFT_OPEN:
        return True
    end = equation.span[1]
    return (
        _RETRACTION.search(text, end, end + _MAX_RETRACTION) is not None
        or _left_side(text, equation) in held
        or _runs_on(text[slice(*equation.span)])
    )


def is_sound(text: str) -> bool:
    """Whether a text has no wrong equation but those of a trace that are no fault."""
    return not any(isinstance(equation, FalseEquation) for equation in pardoned(text, find_equations(text)))


def _left_side(text: str, equation: Equation | CheckedEquation | FalseEquation) -> str:
    """The first side of an equation, without blanks."""
    span = equation.prose if isinstance(equation, Equation) else equation.span
    return _BLANKS.sub("", _EQUALS.split(text[slice(*span)])[0]) if span else ""


def _runs_on(chain: str) -> bool:
    """Whether each two sides of a chain are equal, or the second begins the next calculation: it is the first part of
    the one before, or it begins with its value."""
    sides = [_BLANKS.sub("", side) for side in _EQUALS.split(chain)]
    for left, right in itertools.pairwise(sides):
        number = _NUMBER.match(right)
        is_part = left.startswith(right) and left != right
        goes_on = number is not None and number.end() < len(right) and _holds(f"{left}={number[1]}")
        if not is_part and not goes_on and not _holds(f"{left}={right}"):
            return False
    return len(sides) > 1


def _holds(equation: str) -> bool:
    found = list(find_equations(equation))
    return len(found) == 1 and isinstance(found[0], Equation | CheckedEquation)
