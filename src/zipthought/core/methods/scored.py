"""``tokens:p`` and ``steps:p``: an explicit text without what a causal language model finds least informative.

The model is not here. A `Scorer` reads texts with it (`models.scoring`) and gives each of their tokens two numbers, in
nats: its surprisal, -log p(token | what stands before), and the entropy of the model's prediction there. What the
methods keep is a function of these numbers.

- ``tokens:p`` keeps the tokens with the highest surprisal, in their order. So do Selective Context for prompts (Li et
  al. 2023, arXiv 2310.06201), by self-information, and TokenSkip for chains of thought (Xia et al. 2025, arXiv
  2502.12067), which ranks tokens by the classifier LLMLingua-2 instead.
- ``steps:p`` keeps the steps with the highest entropy, the sum of the entropies of their tokens (Li et al. 2025, arXiv
  2508.03346; arXiv 2607.28707 disputes that it helps). The paper writes [SKIP] for a dropped step; here nothing stands
  in its place, as in the other baselines.
"""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..problem import Problem
from ..trace import Step, Trace
from .shares import ShareMethod, keep, step_sizes

Span = tuple[int, int]
"""Start and end of a part of a text."""

_UNIT = re.compile(r"\w+(?:(?<=\d)[.,]\d+)*|[^\w\s]")
"""What `cut` keeps or drops as a whole: a word, a number or a mark. Half a number would be another number."""


class TokenScore(NamedTuple):
    """A token of a text, as a language model reads it."""

    start: int
    end: int
    """Where it stands in the text."""
    surprisal: float
    """-log p(token | the prompt and the tokens before it), in nats."""
    entropy: float
    """The entropy of the model's prediction of this token, in nats."""


Scorer = Callable[[Sequence[tuple[list[dict[str, str]], str]]], list[list[TokenScore]]]
"""``scorer([(turns, text), ...])``: the tokens of each text, as the assistant's answer to the turns before it."""


@dataclass(frozen=True, slots=True)
class ScoredMethod(ShareMethod):
    """A method that drops parts of the explicit text by the scores of its tokens."""

    needs = ("model",)

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError(f"format {self} needs a model, and its text is written by records.pruned.make_records")

    @abstractmethod
    def shorten(
        self, text: str, trace: Trace, spans: Sequence[Span], scores: Sequence[TokenScore], render: Callable[..., str]
    ) -> str:
        """The explicit `text` of a generated `trace`, shortened. `spans` are those of its steps, `scores` those of its
        tokens, and ``render(trace)`` writes a trace as the text is written."""


@dataclass(frozen=True, slots=True)
class TokenSurprisal(ScoredMethod):
    """An explicit text with the tokens of the highest surprisal and the final answer."""

    NAME = "tokens"
    SYNTAX = "tokens:p"

    def shorten(
        self, text: str, trace: Trace, spans: Sequence[Span], scores: Sequence[TokenScore], render: Callable[..., str]
    ) -> str:
        end = spans[-1][1] if spans else 0
        return cut(text[:end], scores, self.share) + text[end:]


@dataclass(frozen=True, slots=True)
class StepEntropy(ScoredMethod):
    """An explicit trace with the steps of the highest entropy, and always the last one."""

    NAME = "steps"
    SYNTAX = "steps:p"

    def shorten(
        self, text: str, trace: Trace, spans: Sequence[Span], scores: Sequence[TokenScore], render: Callable[..., str]
    ) -> str:
        steps = trace.steps
        rng = random.Random(f"{self.NAME} {trace.problem.structure if trace.problem else text}")
        order = by_entropy(entropies(spans, scores)[:-1])
        kept = keep(step_sizes(steps), self.share, order, rng)
        return render(Trace(tuple(steps[index] for index in kept), trace.final, problem=trace.problem))


def entropies(spans: Sequence[Span], scores: Sequence[TokenScore]) -> list[float]:
    """The sum of the entropies of the tokens that begin in each span. Spans ascend and do not overlap."""
    starts = [start for start, _ in spans]
    sums = [0.0] * len(spans)
    for token in scores:
        index = bisect_right(starts, token.start) - 1
        if index >= 0 and token.start < spans[index][1]:
            sums[index] += token.entropy
    return sums


def by_entropy(entropy: Sequence[float]) -> list[int]:
    """The positions, lowest entropy first; of equals, the first."""
    return sorted(range(len(entropy)), key=lambda index: (entropy[index], index))


def cut(text: str, scores: Sequence[TokenScore], share: float, protected: Sequence[Span] = ()) -> str:
    """The text with about the `share` of its words, numbers and marks that has the highest surprisal; of equals, the
    first. What lies in a `protected` span always stays, and so does the last mark, which separates the text from what
    follows.

    The surprisal of a word is the sum over its tokens, which is -log p(word | text before). A token with several words
    or marks counts for each of them in equal parts.
    """
    units = [match.span() for match in _UNIT.finditer(text)]
    if not units:
        return text
    fixed = {len(units) - 1} | {i for i, (a, b) in enumerate(units) if any(a < e and s < b for s, e in protected)}
    surprisal = _surprisals(units, scores)
    budget = share * len(units) - len(fixed)
    ranked = sorted((i for i in range(len(units)) if i not in fixed), key=lambda i: (-surprisal[i], i))
    kept = sorted(fixed.union(ranked[: max(0, round(budget))]))
    return _joined(text, units, _without_empty_end(text, units, kept, fixed))


def _surprisals(units: Sequence[Span], scores: Sequence[TokenScore]) -> list[float]:
    """The surprisal of each unit."""
    ends = [end for _, end in units]
    sums = [0.0] * len(units)
    for token in scores:
        first = last = bisect_right(ends, token.start)
        while last < len(units) and units[last][0] < token.end:
            last += 1
        for index in range(first, last):
            sums[index] += token.surprisal / (last - first)
    return sums


def _without_empty_end(text: str, units: Sequence[Span], kept: list[int], fixed: Collection[int]) -> list[int]:
    """The kept units without marks that would end nothing, which a reader takes for a sentence: ``. . answer 3 .``"""
    words = [text[slice(*units[index])] for index in kept]
    if len(kept) == 1 and not words[0][0].isalnum():
        return []
    while len(kept) > 1 and words[-1] == words[-2] and not words[-1][0].isalnum() and kept[-2] not in fixed:
        del kept[-2], words[-2]
    return kept


def _joined(text: str, units: Sequence[Span], kept: Sequence[int]) -> str:
    """The kept units with what stood between them. In place of dropped ones there is a line break if one stood there,
    else a space, so that no two numbers become one."""
    parts: list[str] = []
    before, end = -1, 0
    for index in kept:
        gap = text[end : units[index][0]]
        if index > before + 1:
            gap = "" if before < 0 else "\n" if "\n" in gap else " "
        parts += (gap, text[slice(*units[index])])
        before, end = index, units[index][1]
    return "".join([*parts, text[end:]]) if kept else ""
