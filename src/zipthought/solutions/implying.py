"""``implicit:k`` in prose: the sentence of a shown step states its result alone."""

from __future__ import annotations

import re

from .equations import CheckedEquation, Span
from .solution import Edit, Solution
from .tokens import CURRENCY, written_numbers

_REASON = re.compile(rf"[ \t,]*\b(?:because|since|as)\s+(?:\\?{CURRENCY})?$", re.IGNORECASE)
_NUMBER = re.compile(rf"(?:\\?{CURRENCY})?\s?-?\.?\d(?:[\d,./]*\d)?%?")

_BRACKETS = re.compile(r"\\[()\[\]]|(?<!\\)\$(?!\d)")
_PAIRS = {("\\(", "\\)"), ("\\[", "\\]"), ("$", "$")}


def hide(solution: Solution, index: int) -> list[Edit]:
    """The edits that remove the expression of a step and its annotation.

    A result that no number repeats stays in place of its annotation. An expression that gives the reason for what the
    sentence says (``11 are left because 18 - 7 = 11``) goes with its result and the word before it; it stays if the
    sentence does not say the result.
    """
    equation, sentence, _ = solution.steps[index]
    if isinstance(equation, CheckedEquation):
        return []
    text, spans = solution.text, [span for span in (equation.prose, equation.annotation) if span]
    if text[spans[0][0]] == "$" and "\\" in text:  # Among commands of LaTeX it is a bracket.
        spans[0] = (spans[0][0] + 1, spans[0][1])
    if (whole := _balanced(text, spans[0])) is None:
        return []
    spans[0] = whole
    end = max(stop for _, stop in spans)
    repeated = _NUMBER.match(text, end) if equation.annotation else None
    if reason := _reason_before(text, solution.sentences[sentence][0], spans[0][0]):
        said = {value for value, _ in written_numbers(text[slice(*reason)])}
        last = repeated.end() if repeated else max(end, equation.stated.end)
        return [(reason[1], last, "")] if equation.result in said else []
    edits = [(*span, "") for span in spans]
    if equation.annotation and not repeated:
        result = text[equation.stated.start : equation.stated.end]
        low = spans[0][0]
        before, after = text[max(0, low - 1) : low], text[end : end + 1] or solution.tail[:1]
        left, right = " " * before.isalnum(), " " * (after.isalnum() or after in ("<", "#"))  # 7 and 8 are not 78.
        edits[-1] = (*equation.annotation, f"{left}{result}{right}")
    return edits


def _balanced(text: str, span: Span) -> Span | None:
    """A span without half a pair of the brackets of LaTeX: with the opening one directly before it, if that is what it
    lacks (``\\(5 * 4\\), which equals 20``). None if it cannot be made whole."""
    start, end = span
    marks = [mark[0] for mark in _BRACKETS.finditer(text, start, end)]
    if len(marks) % 2 == 0 and all(pair in _PAIRS for pair in zip(marks[::2], marks[1::2], strict=True)):
        return span
    before = _BRACKETS.search(text, max(0, start - 3), start)
    if before and len(marks) == 1 and (before[0], marks[0]) in _PAIRS and not text[before.end() : start].strip():
        return before.start(), end
    return None


def _reason_before(text: str, start: int, expression: int) -> Span | None:
    """What a sentence says before the word that gives an expression as the reason; None without such a word."""
    match = _REASON.search(text[max(start, expression - 20) : expression])
    return (start, expression - len(match[0])) if match else None
