"""The baselines that drop a share of a real solution: ``random-steps:p``, ``truncated:p``, ``steps:p``, ``tokens:p``.

The first three drop whole sentences with steps until the length is closest to the share, and differ in which sentences
go first. ``tokens:p`` drops words, numbers and marks (`core.methods.scored.cut`). The statement of the final answer
stays in all of them.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache

from ..core.methods.scored import Span, TokenScore, by_entropy, cut, entropies
from ..core.pieces import count_pieces
from .finals import final_answer
from .sentences import is_tag
from .solution import Solution, UnreadableError


def without_random_steps(solution: Solution, share: float, count: Callable[[str], int], seed: str) -> str:
    """The solution without sentences with steps that are drawn at random, never the last one."""
    order = _with_steps(solution)[:-1]
    random.Random(f"random-steps {seed}").shuffle(order)
    return _without(solution, order, share, count)


def truncated(solution: Solution, share: float, count: Callable[[str], int]) -> str:
    """The solution without its last sentences with steps."""
    stated = {solution.sentence_at(start) for start, _ in _statement(solution)}
    order = [sentence for sentence in reversed(_with_steps(solution)) if sentence not in stated]
    text = _without(solution, order, share, count)
    # The tail begins with the break that ended the last sentence. The sentence that is now the last has its own.
    return text.removesuffix(solution.tail).rstrip() + solution.tail if solution.tail[:1].isspace() else text


def without_certain_steps(
    solution: Solution, share: float, count: Callable[[str], int], scores: Sequence[TokenScore]
) -> str:
    """The solution without the sentences with steps of the lowest entropy, never the last one."""
    sentences = _with_steps(solution)
    order = by_entropy(entropies([solution.sentences[sentence] for sentence in sentences], scores)[:-1])
    return _without(solution, [sentences[index] for index in order], share, count)


def without_certain_tokens(solution: Solution, share: float, scores: Sequence[TokenScore]) -> str:
    """The solution without the words, numbers and marks of the lowest surprisal. Tags around a train of thought stay,
    too. Where the words that are left state another final answer, it is the whole solution."""
    whole = solution.text + solution.tail
    tags = [span for span in solution.sentences if is_tag(solution.text, span)]
    before, after = count_pieces(solution.text), count_pieces(solution.tail)
    of_text = (share * (before + after) - after) / before if before else 1.0
    text = cut(solution.text, scores, of_text, [*tags, *_statement(solution)]) + solution.tail
    return text if _stated(text) == _stated(whole) else whole


def _stated(text: str) -> str | None:
    """The final answer as a text writes it; None if it states none, or several."""
    try:
        final = final_answer(text)
    except UnreadableError:
        return None
    return final.written if final else None


def _with_steps(solution: Solution) -> list[int]:
    """The sentences with steps, ascending."""
    return sorted({step.sentence for step in solution.steps})


def _statement(solution: Solution) -> list[Span]:
    """Where the text before the tail states the final answer: the box of ``6 * 7 = \\boxed{42}``. Empty where the tail
    states it."""
    start = solution.text.rfind(solution.statement) if solution.statement not in solution.tail else -1
    return [(start, start + len(solution.statement))] if start >= 0 and solution.statement else []


def _without(solution: Solution, order: Sequence[int], share: float, count: Callable[[str], int]) -> str:
    """The solution without the first sentences of `order`, as many as bring its length closest to the share."""

    @cache
    def without(number: int) -> str:
        """The text without the first `number` sentences of the order."""
        dropped = set(order[:number])
        steps = enumerate(solution.steps)
        return solution.assemble({index: () for index, step in steps if step.sentence not in dropped})

    def excess(number: int) -> float:
        return count(without(number)) - target

    target = share * count(without(0))
    # Each sentence dropped makes the text shorter, so the first text that is short enough is found by bisection.
    fewest = bisect_left(range(len(order)), 0.0, key=lambda number: -excess(number))
    if fewest and abs(excess(fewest)) >= abs(excess(fewest - 1)):
        fewest -= 1
    return without(fewest)
