"""The questions of a file: what a model reads, what its completion is compared with, and which records have none.

The messages of a question are those that training uses: those of the record if it is one of zipthought, and else those
that `compress` would write. This module does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..core.verify import Verdict
from ..records.chat import Message, prompt_messages
from ..records.mixed import has_own_fields, read_mixed, right_answer, verdict_of_source
from ..records.reading import VERIFIED_FIELDS, BadLine, solution_of, verdict_of
from ..records.schema import Record
from ..solutions import FAMILIES, Family
from ..solutions.compress.reading import numbered
from ..solutions.layouts import Reading, Source
from ..solutions.mathematics import is_answer
from ..solutions.options import read_options, stated_final, value_of
from ..solutions.solution import UnreadableError
from ..surfaces import SURFACES, get_surface, verify
from ..train.held_out import require_text, turns_of
from .metrics import Item

SKIPPED = {
    "unreadable": "the record, its question or its fields cannot be read",
    "no_answer": "the record has no right answer",
    "bad_answer": "the right answer cannot be compared with another, or contradicts the record",
    "not_tokenized": "the tokenizer or its chat template cannot write the question",
    "too_long": "question and completion would not fit the model's context",
}
"""Reason for which a record is not evaluated -> its meaning."""


class Skipped(NamedTuple):
    """A record that is not evaluated."""

    number: int
    """The number of its line or row, from 1."""
    reason: str
    """One of `SKIPPED`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with its right answer."""

    id: str
    """The record's `id`, or without one its number. Where several turns of a dialogue are read, `/1`, `/2` follow."""
    number: int
    """The number of the record's line or row, from 1."""
    text: str
    """The question, with all that a dialogue has before the answer."""
    turns: list[Message]
    """The messages that the model reads."""
    right: str
    """The right answer."""
    solution: str
    """The record's completion or solution; empty if the record has its answer alone."""
    item: Item | None
    """The problem, if it is one of zipthought's tasks."""
    surface: str
    """The surface of the problem, or the family of the real solution."""
    judge: Callable[[str], Verdict]
    """The verdict on a completion. Raises nothing."""

    def answer_read(self, completion: str) -> str | None:
        """The final answer that a completion states, as written; None if it states none, or two."""
        if self.item:
            return get_surface(self.item.surface).parse(completion).final
        try:
            stated = stated_final(completion, read_options(self.text))
        except UnreadableError:
            return None
        return stated.written if stated else None


def read_questions(file: Path, reading: Reading, modulus: int, limit: int = 0) -> Iterator[Question | Skipped]:
    """The questions of the first `limit` records of a file (0: of all records).

    `modulus` is that of problems whose record has none. Raises `OSError` and `ValueError` as `read_mixed` does.
    """
    fields = {*VERIFIED_FIELDS, "id", "messages", *reading.fields}
    for number, record in enumerate(islice(read_mixed(file, fields), limit or None), 1):
        if isinstance(record, BadLine):
            yield Skipped(number, "unreadable", record.reason)
            continue
        try:
            yield from _questions(number, record, reading, modulus)
        except UnreadableError as error:
            yield Skipped(number, _REASONS.get(error.reason, "unreadable"), str(error))
        except ValueError as error:
            yield Skipped(number, "unreadable", str(error))


_REASONS = {"no_final_answer": "no_answer", "unreadable_final": "bad_answer", "conflicting_finals": "bad_answer"}
"""Reason of an `UnreadableError` -> reason of `SKIPPED`, if it is not `unreadable`."""


def _questions(number: int, record: Record, reading: Reading, modulus: int) -> Iterator[Question]:
    """The questions of a record. Raises `ValueError`."""
    id_ = _id_of(record, number)
    if has_own_fields(record):
        question = _own_question(id_, number, record, modulus)
        _require_unicode(question.turns)
        yield question
        return
    for name, source in numbered(id_, reading.questions(record)):
        question = _source_question(name, number, source, reading)
        _require_unicode(question.turns)
        yield question


def _id_of(record: Mapping[str, Any], number: int) -> str:
    value = record.get("id")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else str(number)


def _own_question(id_: str, number: int, record: Record, modulus: int) -> Question:
    """The question of a record of zipthought, or of one that states a problem."""
    name = record.get("surface")
    has_solution = any(record.get(field) is not None for field in ("completion", "solution"))
    solution = solution_of(record) if has_solution else ""
    if not isinstance(name, str) or name in SURFACES or name not in FAMILIES:
        item = Item.of_record(record, number, modulus if record.get("modulus") is None else None)
        if fault := item.fault_of_answer(record):
            raise UnreadableError("unreadable_final", fault)
        problem, text = item.problem, item.prompt
        right, judge = str(problem.answer), partial(verify, problem=problem, surface=item.surface)
        usual, surface = prompt_messages(text, problem.modulus, item.surface), item.surface
    else:
        item, surface = None, name
        text, right = require_text(record, "prompt") or "", require_text(record, "answer") or ""
        if not text:
            raise UnreadableError("missing_field", "the record has no prompt")
        if not right:
            raise UnreadableError("no_final_answer", "the record has no answer")
        judge = partial(verdict_of, record)
        usual = [{"role": "system", "content": FAMILIES[name].SYSTEM}, {"role": "user", "content": text}]
        _require_comparable(judge)
    turns = usual if record.get("messages") is None else turns_of(record)
    if turns[-1:] and turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    return Question(
        id=id_,
        number=number,
        text=text,
        turns=turns,
        right=right,
        solution=solution,
        item=item,
        surface=surface,
        judge=judge,
    )


def _source_question(id_: str, number: int, source: Source, reading: Reading) -> Question:
    """The question of a real solution."""
    right, family = right_answer(source), reading.family_of(source.question)
    if right is None and _is_answer_alone(source):
        right = source.solution.strip()
    if right is None:
        raise UnreadableError("no_final_answer", "the record has no right answer, and its solution states none")
    judge = partial(_judge_source, reading, source, right)
    _require_comparable(judge)
    system = source.system or system_message(family, source)
    own = list(source.turns) or [{"role": "user", "content": source.question}]
    return Question(
        id=id_,
        number=number,
        text=source.question,
        turns=[{"role": "system", "content": system}, *own],
        right=right,
        solution="" if _is_answer_alone(source) else source.solution,
        item=None,
        surface=family.NAME,
        judge=judge,
    )


def _judge_source(reading: Reading, source: Source, right: str, completion: str) -> Verdict:
    return verdict_of_source(reading, source._replace(solution=completion, answer=right), right)


def _is_answer_alone(source: Source) -> bool:
    """Whether a record has its final answer in place of a solution."""
    text = source.solution.strip()
    if text == source.answer:
        return True
    stated = stated_final(text, read_options(source.question))
    if stated:
        return not text[: stated.cut].strip() and stated.statement.strip() == text
    is_short = 0 < len(text) <= _MAX_ANSWER and not _SENTENCE.search(text)
    return is_short and (value_of(text, read_options(source.question)) is not None or is_answer(text))


_MAX_ANSWER = 80
"""Characters of a text that may be an answer without a solution."""
_SENTENCE = re.compile(r"\n|[A-Za-z]{2,} \S*[A-Za-z]{2,}")


def system_message(family: Family, source: Source) -> str:
    """The system message that asks for the final answer as the record's solution states it."""
    systems: Mapping[str, str] = getattr(family, "SYSTEMS", {})
    try:
        stated = stated_final(source.solution, read_options(source.question)) if systems else None
    except UnreadableError:
        return family.SYSTEM
    return systems.get(stated.notation, family.SYSTEM) if stated else family.SYSTEM


def _require_comparable(judge: Callable[[str], Verdict]) -> None:
    """Raises `UnreadableError` for a right answer that no completion can be compared with."""
    try:
        judge("")
    except ValueError as error:
        raise UnreadableError("unreadable_final", str(error)) from error


def _require_unicode(turns: Sequence[Message]) -> None:
    """Raises `ValueError` for half of a surrogate pair, which no tokenizer can read."""
    for turn in turns:
        require_text(turn, "content")


__all__ = ["SKIPPED", "Question", "Skipped", "read_questions", "system_message"]
