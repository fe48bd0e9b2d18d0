"""Records of many problems at once, also in formats that a language model decides (`core.methods.scored`).

make_records(problems, "steps:0.6", surface="terse", scorer=Scorer(model, tokenizer))
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.compress import compress
from ..core.methods import Method, ScoredMethod, parse_method
from ..core.methods.scored import Scorer, Span, TokenScore
from ..core.problem import Problem
from ..core.trace import Trace
from ..surfaces import Surface, get_surface
from .chat import Message, prompt_messages
from .schema import Record, make_record


def make_records(
    problems: Sequence[tuple[int, Problem]],
    method: str | Method,
    order: str = "forward",
    surface: str = "english",
    split: str = "train",
    scorer: Scorer | None = None,
) -> list[Record]:
    """The records of (index, problem) in one format, as `make_record` makes them. A format that needs a model has its
    explicit traces read by `scorer`, once.

    Raises `ValueError` as `make_record` does, for a format that needs a model without `scorer`, and as the scorer does.
    """
    method = parse_method(method) if isinstance(method, str) else method
    if not isinstance(method, ScoredMethod) or scorer is None:
        return [make_record(problem, method, order, surface, split, index) for index, problem in problems]
    writer = get_surface(surface)
    traces = [compress(problem, "explicit", order) for _, problem in problems]
    texts = [writer.render(trace) for trace in traces]
    asked = [
        (prompt_messages(writer.render_problem(problem), problem.modulus, surface), text)
        for (_, problem), text in zip(problems, texts, strict=True)
    ]
    return [
        make_record(
            problem,
            method,
            order,
            surface,
            split,
            index,
            completion=method.shorten(text, trace, step_spans(writer, trace, text), scores, writer.render),
        )
        for (index, problem), trace, text, scores in zip(problems, traces, texts, scorer(asked), strict=True)
    ]


def step_spans(surface: Surface, trace: Trace, text: str) -> list[Span]:
    """The spans of the steps in the text of a trace, one after the other: a span ends where the next step begins, and
    the last one where the final answer does.

    Raises `ValueError` for a surface that does not end its texts as it writes the answer alone.
    """
    answer = surface.render(Trace((), trace.final, problem=trace.problem))
    if not text.endswith(answer):
        raise ValueError(f"surface {surface.NAME!r} does not end {text[-60:]!r} with {answer!r}; use another surface")
    starts, end = [], 0
    for sentence in surface.sentences(text):
        start = text.index(sentence, end)
        starts.append(start)
        end = start + len(sentence)
    ends = [*starts[1:], len(text) - len(answer)]
    return list(zip(starts, ends, strict=True))[: len(starts)] if starts else []


def unscored(texts: Sequence[tuple[list[Message], str]]) -> list[list[TokenScore]]:
    """A `Scorer` without a model: all words score the same. Estimates of lengths use it."""
    return [[TokenScore(*word.span(), 1.0, 1.0) for word in re.finditer(r"\S+", text)] for _, text in texts]
