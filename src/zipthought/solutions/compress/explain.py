"""Explanations of single records: what was read, what each equation was taken for, and why a record was refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...core.methods.scored import Scorer
from ...files.sources import SourceItem, read_source
from ..decided import find_all_equations
from ..equations import AnyEquation, FalseEquation, UnreadEquals, span_of
from ..gsm8k import write_number
from ..layouts import Source
from ..methods import WriteContext, compress_solution
from ..options import read_options, stated_final
from ..solution import Solution, SolutionStep, UnreadableError
from ..traces import pardoned
from .config import CompressConfig, load_tokenizer, token_counter
from .reading import ReadSolution, numbered, read_text
from .records import parse_record, source_id

_AROUND = 60
"""Characters of the text that are quoted on each side of the ``=`` of an equation that could not be read."""


@dataclass(frozen=True, slots=True)
class ExplainedEquation:
    """One equation of a solution."""

    text: str
    """As the solution has it."""
    verdict: str
    """`holds`, `unread`, or the fault (`equations.FalseEquation.fault`)."""
    result: str | None = None
    """Its result as a plain number; None if it has none."""
    operands: tuple[str, ...] = ()
    """Each operand with its origin: ``4: question``, ``24: step 1``, or ``7: new``."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One solution of a record."""

    source_id: str
    source_line: int
    """The number of the record's line, element or row, from 1."""
    verdict: str
    """`verified`, or the reason of the reject."""
    detail: str = ""
    """What the reject says."""
    question: str = ""
    solution: str = ""
    answer: str | None = None
    """The final answer that the record has in a field of its own."""
    final: str | None = None
    """The final answer as the solution writes it."""
    equations: tuple[ExplainedEquation, ...] = ()
    texts: tuple[tuple[str, int, str], ...] = ()
    """(format, tokens, text) of a solution that verifies."""

    def plain(self) -> dict[str, Any]:
        """As ``compress --explain --json`` prints it."""
        texts = [{"format": name, "tokens": tokens, "text": text} for name, tokens, text in self.texts]
        return asdict(self) | {"texts": texts}


def explain_file(
    config: CompressConfig, ids: Collection[str] = (), first: int = 0, scorer: Scorer | None = None
) -> Iterator[Explanation]:
    """Explain the solutions of the records with these ids, and of the `first` records. An id is that of the source, or
    the hash that a record without one gets. Of a dialogue, ``ID/2`` is the second solution. `scorer` is as in
    `compress_file`.

    Raises as `compress_file` does for an input that cannot be read, and `ValueError` for an id that no record has.
    """
    missing = set(ids)
    for item in read_source(config.input, {*config.fields, config.id_field}):
        record, reason = _parse(item)
        id_ = source_id(item, record, config.id_field)
        is_whole = item.number <= first or id_ in missing
        if is_whole or any(name.startswith(f"{id_}/") for name in missing):
            missing.discard(id_)
            for found in [_rejected(id_, item, reason)] if reason else _explain(config, item, record, id_, scorer):
                if is_whole or found.source_id in missing:
                    missing.discard(found.source_id)
                    yield found
        if item.number >= first and not missing:
            return
    if missing:
        raise ValueError(f"{config.input} has no record with the id {', '.join(sorted(missing))}")


def _parse(item: SourceItem) -> tuple[Any, UnreadableError | None]:
    try:
        return parse_record(item.text), None
    except UnreadableError as error:
        return None, error


def _rejected(id_: str, item: SourceItem, error: UnreadableError) -> Explanation:
    return Explanation(id_, item.number, error.reason, str(error))


def _explain(
    config: CompressConfig, item: SourceItem, record: Any, id_: str, scorer: Scorer | None
) -> Iterator[Explanation]:
    try:
        sources = list(config.sources(record))
    except UnreadableError as error:
        yield _rejected(id_, item, error)
        return
    for name, source in numbered(id_, sources):
        notate = getattr(config.family_of(source.question), "notate", str)
        try:
            read = read_text(config, source)
        except UnreadableError as error:
            found = _rejected(name, item, error)
            text, question = notate(source.solution), notate(source.question)
            explained = [_equation(text, equation) for equation in pardoned(text, find_all_equations(text, question))]
        else:
            found = Explanation(name, item.number, "verified", texts=tuple(_texts(config, read, name, scorer)))
            explained = list(_steps(read.solution))
        yield replace(
            found,
            question=source.question,
            solution=source.solution,
            answer=source.answer,
            final=_final(source),
            equations=tuple(replace(one, text=notate(one.text)) for one in explained),
        )


def _final(source: Source) -> str | None:
    try:
        stated = stated_final(source.solution, read_options(source.question))
    except UnreadableError:
        return None
    return stated.written if stated else None


def _texts(
    config: CompressConfig, read: ReadSolution, id_: str, scorer: Scorer | None
) -> Iterator[tuple[str, int, str]]:
    count = token_counter(config.tokenizer)
    context = WriteContext(
        seed=f"{config.seed} {id_}",
        count=count,
        tokenizer=load_tokenizer(config.tokenizer),
        scores=scorer([read.asked()])[0] if scorer else None,
    )
    for method in config.parsed_formats:
        text = compress_solution(read.solution, method, context)
        yield str(method), count(text), text


def _steps(solution: Solution) -> Iterator[ExplainedEquation]:
    """The steps and the unread equations of a solution that verifies, in the order of its text."""
    text = solution.text
    steps = [
        (
            step.equation.stated.start,
            replace(_equation(text, step.equation), operands=_origins(solution, step)),
        )
        for step in solution.steps
    ]
    unread = [(start, _equation(text, UnreadEquals(start))) for start in solution.unread]
    yield from (equation for _, equation in sorted([*steps, *unread], key=lambda pair: pair[0]))


def _origins(solution: Solution, step: SolutionStep) -> tuple[str, ...]:
    """Each operand of a step and where it comes from. Steps are counted from 1."""
    return tuple(
        f"{write_number(value)}: "
        + (f"step {source + 1}" if source is not None else "question" if value in solution.given else "new")
        for value, source in zip(step.equation.values, step.sources, strict=False)
    )


def _equation(text: str, equation: AnyEquation) -> ExplainedEquation:
    if isinstance(equation, UnreadEquals):
        start = max(text.rfind("\n", 0, equation.start) + 1, equation.start - _AROUND)
        end = text.find("\n", equation.start)
        end = min(end if end >= 0 else len(text), equation.start + _AROUND)
        return ExplainedEquation(" ".join(text[start:end].split()), "unread")
    start, end = span_of(equation)
    verdict = equation.fault if isinstance(equation, FalseEquation) else "holds"
    value = equation.stated if isinstance(equation, FalseEquation) else equation.result
    quote = " ".join(text[start:end].split())
    return ExplainedEquation(quote, verdict, None if value is None else write_number(value))


__all__ = ["ExplainedEquation", "Explanation", "explain_file"]
