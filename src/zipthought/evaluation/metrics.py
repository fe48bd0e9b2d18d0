"""Metrics: the verdict on each completion, and summaries over many completions.

A wrong answer and an unreadable answer are counted apart, and the share of truncated completions stands beside the
accuracy. All verdicts come from `surfaces.verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.problem import Problem
from ..core.verify import ANSWERS, STEP_VERDICTS
from ..records.reading import problem_of, surface_name
from ..surfaces import english, get_surface, verify
from .passk import ks_for, pass_at_k


@dataclass(frozen=True, slots=True)
class Item:
    """A problem to evaluate."""

    problem: Problem
    prompt: str
    surface: str
    index: int
    """The index of the problem in its split, or of its record in a file."""

    @classmethod
    def of(cls, problem: Problem, surface: str, index: int) -> Item:
        """The item of a problem, with the prompt that `surface` renders."""
        return cls(problem, get_surface(surface).render_problem(problem), surface, index)

    @classmethod
    def of_record(cls, record: Mapping[str, Any], index: int, modulus: int | None = None) -> Item:
        """The item of a record's problem. `modulus` is for a record without one. Raises `ValueError` as `problem_of`
        does."""
        return cls.of(problem_of(record, modulus), surface_name(record) or english.NAME, index)

    def fault_of_answer(self, record: Mapping[str, Any]) -> str:
        """What is wrong with the record's answer; empty if it is right, or there is none."""
        answer, right = record.get("answer"), self.problem.answer
        is_right = answer is None or str(answer) == str(right)
        return "" if is_right else f"the answer is {right}, but the record says {answer!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCompletion:
    """A completion and its verdict. The fields are the columns of the Parquet files of completions, in this order."""

    n_ops: int
    index: int
    """`Item.index`. Several samples of a problem share it."""
    sample: int
    """The number of the sample, from 0."""
    structure: str
    surface: str
    prompt: str
    completion: str
    gold: int
    """The correct answer."""
    answer: str
    """The verdict on the answer, one of `core.verify.ANSWERS`."""
    correct: bool
    faithful: bool
    """A correct answer, every step valid, and the chain complete."""
    response_tokens: int
    """Generated tokens, the end of sequence included."""
    truncated: bool
    """Whether the completion reached the limit of tokens before an end of sequence."""
    granularity: tuple[int, ...]
    """Operations of each valid step that works out at least one. A completion without steps counts as one step of n_ops
    operations if its answer is correct. Otherwise it has no step, because an empty text compresses nothing."""
    stated: tuple[int, ...]
    """Operations of each step that works out at least one, also where the arithmetic is wrong."""
    steps: tuple[str, ...]
    """The verdict on each step, each one of `core.verify.STEP_VERDICTS`."""

    @property
    def valid(self) -> tuple[int, ...]:
        """`granularity` of the steps alone: empty for an answer without steps."""
        return self.granularity if self.steps else ()

    def plain(self) -> dict[str, Any]:
        """The fields as JSON values."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> JudgedCompletion:
        """The inverse of `plain`. Raises `ValueError` naming the missing fields."""
        if missing := [name for name in COLUMNS if name not in values]:
            raise ValueError(f"a completion lacks {', '.join(missing)}; evaluate the model again")
        given: dict[str, Any] = {name: values[name] for name in COLUMNS}
        given |= {name: tuple(given[name]) for name in ("granularity", "stated", "steps")}
        return cls(**given)


COLUMNS = tuple(f.name for f in fields(JudgedCompletion))


def judge_completion(
    item: Item, completion: str, *, response_tokens: int, truncated: bool, sample: int = 0
) -> JudgedCompletion:
    """Verify a completion of an item."""
    problem = item.problem
    verdict = verify(completion, problem, item.surface)
    return JudgedCompletion(
        n_ops=problem.n_ops,
        index=item.index,
        sample=sample,
        structure=problem.structure,
        surface=item.surface,
        prompt=item.prompt,
        completion=completion,
        gold=problem.answer,
        answer=verdict.answer,
        correct=verdict.answer == "correct",
        faithful=verdict.faithful,
        response_tokens=response_tokens,
        truncated=truncated,
        granularity=verdict.shown,
        stated=tuple(step.granularity for step in verdict.steps if step.granularity),
        steps=tuple(step.verdict for step in verdict.steps),
    )


@dataclass(frozen=True, slots=True)
class EditedAnswer:
    """The model's answer to an edited problem (`evaluation.memorization`)."""

    old: bool
    """It is the answer of the problem before the edit."""
    right: bool
    """It is the answer of the edited problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Metrics of many completions. A mean over nothing is None."""

    n: int
    """Problems: distinct pairs of n_ops and index."""
    completions: int
    correct: int
    """Completions with a correct answer."""
    accuracy: float | None
    """`correct` over `completions`."""
    faithful: float | None
    """The share of completions with a correct answer, only valid steps and a complete chain."""
    response_tokens: float | None
    """The mean, the end of sequence included."""
    truncated: float | None
    """The share of completions that reached the limit of tokens."""
    ops_per_step: float | None
    """The mean over all `granularity` values of all completions."""
    single_op_share: float | None
    """The share of those values that are 1."""
    answers: dict[str, int]
    """Completions by verdict on the answer. `wrong` answers were read; `missing`, `conflicting` and `malformed` ones
    were not."""
    steps: dict[str, int]
    """Steps by verdict."""
    first_wrong_step: float | None
    """The mean position (from 1) of the first invalid step, over completions that have one."""
    pass_at: dict[int, float] = field(default_factory=dict)
    """k -> pass@k; empty unless every problem has several samples."""
    faithful_at: dict[int, float] = field(default_factory=dict)
    """The same for faithful completions. Guessing the answer does not raise it."""
    by_n_ops: dict[int, Summary] = field(default_factory=dict)
    """n_ops -> its summary, whose own `by_n_ops` is empty."""

    def plain(self) -> dict[str, Any]:
        """The summary as JSON values, as `zipthought evaluate --json` prints it."""
        return {**self._values(), "by_n_ops": {str(n): part._values() for n, part in self.by_n_ops.items()}}

    def _values(self) -> dict[str, Any]:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "by_n_ops"}
        for name in ("pass_at", "faithful_at"):
            values[name] = {str(k): value for k, value in values[name].items()}
        return values

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Summary:
        """The inverse of `plain`. It also reads the summaries of version 0.1, which have no `correct`: their
        `answers` hold the same count."""
        given = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        given.setdefault("correct", values["answers"]["correct"])
        for name in ("pass_at", "faithful_at"):
            given[name] = {int(k): value for k, value in values[name].items()}
        given["by_n_ops"] = {int(n): cls.from_plain(part) for n, part in values.get("by_n_ops", {}).items()}
        return cls(**given)


def summarize(completions: Sequence[JudgedCompletion]) -> Summary:
    """The summary of all completions, and of those of each n_ops."""
    sizes = sorted({c.n_ops for c in completions})
    return _summarize(completions, {n: _summarize([c for c in completions if c.n_ops == n], {}) for n in sizes})


def _summarize(completions: Sequence[JudgedCompletion], by_n_ops: dict[int, Summary]) -> Summary:
    granularity = [size for c in completions for size in c.granularity]
    answers = Counter(c.answer for c in completions)
    steps = Counter(step for c in completions for step in c.steps)
    problems: dict[tuple[int, int], list[JudgedCompletion]] = {}
    for c in completions:
        problems.setdefault((c.n_ops, c.index), []).append(c)
    samples = min(map(len, problems.values()), default=1)
    ks = ks_for(samples) if samples > 1 else []
    return Summary(
        n=len(problems),
        completions=len(completions),
        correct=sum(c.correct for c in completions),
        accuracy=_mean([c.correct for c in completions]),
        faithful=_mean([c.faithful for c in completions]),
        response_tokens=_mean([c.response_tokens for c in completions]),
        truncated=_mean([c.truncated for c in completions]),
        ops_per_step=_mean(granularity),
        single_op_share=_mean([size == 1 for size in granularity]),
        answers={verdict: answers[verdict] for verdict in ANSWERS},
        steps={verdict: steps[verdict] for verdict in STEP_VERDICTS},
        first_wrong_step=_mean([position for c in completions if (position := _first_wrong_step(c))]),
        pass_at={k: _pass_at(problems.values(), lambda c: c.correct, k) for k in ks},
        faithful_at={k: _pass_at(problems.values(), lambda c: c.faithful, k) for k in ks},
        by_n_ops=by_n_ops,
    )


def _first_wrong_step(completion: JudgedCompletion) -> int | None:
    """The position (from 1) of the first invalid step."""
    return next((i for i, verdict in enumerate(completion.steps, 1) if verdict != "valid"), None)


def _pass_at(
    problems: Iterable[Sequence[JudgedCompletion]], passes: Callable[[JudgedCompletion], bool], k: int
) -> float:
    """The mean of pass@k over problems, of which there is at least one."""
    values = [pass_at_k(len(samples), sum(map(passes, samples)), k) for samples in problems]
    return sum(values) / len(values)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


__all__ = ["COLUMNS", "EditedAnswer", "Item", "JudgedCompletion", "Summary", "judge_completion", "summarize"]
