"""The texts of a record: question, solution and answer, by the layout that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import FAMILIES, Family, detect_family
from ..options import option_of, read_options, write_options
from ..solution import NEAR, UnreadableError
from .dialogues import Exchange, Turn, exchanges
from .fields import as_text, find, text_of
from .table import OPTIONS, Layout, columns, read_layouts
from .thoughts import Thoughts, find_thoughts, has_tags


class Source(NamedTuple):
    """The texts of one solution."""

    question: str
    """The question, with all that a dialogue has before the solution."""
    solution: str
    """The solution, with its train of thought before it as ``<think> ... </think>``."""
    answer: str | None
    """The final answer if the record has it in a field of its own; else None."""
    system: str = ""
    """The record's own instructions: its turns of the roles `system` and `developer`, or its field `system`."""
    turns: tuple[Turn, ...] = ()
    """The turns before the solution, if they are not the question alone."""
    thoughts: str = ""
    """The name of the field of the train of thought; empty if the solution has it, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where the records of a file have their texts. `compress`, `verify` and `advise` share these settings."""

    layout: str = "auto"
    """The name of the layout of all records (docs/real_data.md); auto detects it for each record by its fields."""
    layout_file: Path | None = None
    """A TOML file with further layouts, as [[layout]] tables."""
    question_field: str = ""
    """The field of the question, if no layout fits; of a nested one the path, like a.b."""
    solution_field: str = ""
    """The field of the solution, if no layout fits."""
    answer_field: str = ""
    """The field of the final answer. Every record must have it."""
    family: str = "auto"
    """The family of the solutions: gsm8k (arithmetic in prose), gsm8k-comma (the same with a decimal comma and points
    between thousands), countdown, or auto (by the question, never gsm8k-comma)."""
    accept: tuple[str, ...] = ()
    """Reasons for which a final answer is accepted although the last step gives another number: final_rounded,
    final_as_percentage, final_converted, final_earlier."""
    turns: Literal["last", "each"] = "last"
    """Which solutions of a dialogue of several turns are read: the assistant's last turn, or each of them, with all
    that was said before it."""

    def __post_init__(self) -> None:
        names = ["auto", *(layout.name for layout in self.layouts)]
        if self.layout not in names:
            raise ValueError(f"unknown layout {self.layout!r}; use {', '.join(names)}")
        if bool(self.question_field) != bool(self.solution_field or (self.question_field and self.answer_field)):
            raise ValueError("question_field goes with solution_field, or with answer_field alone; give both")
        if self.family != "auto":
            FAMILIES.find(self.family)
        if unknown := [reason for reason in self.accept if reason not in NEAR]:
            raise ValueError(f"accept has {unknown[0]!r}; use {', '.join(NEAR)}")

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts that a record may have."""
        return read_layouts(self.layout_file)

    @property
    def fields(self) -> list[str]:
        """The fields of a record that may be read."""
        return columns([*self.layouts, Layout("", self.question_field, self.solution_field, self.answer_field)])

    def family_of(self, question: str) -> Family:
        """The family that reads the solutions of a question."""
        return detect_family(question) if self.family == "auto" else FAMILIES[self.family]

    def sources(self, record: Mapping[str, Any]) -> Iterator[Source]:
        """The solutions of a record: one, or with `turns` of "each" one for each turn of a dialogue.

        Raises `UnreadableError` naming the field that is missing.
        """
        if self.question_field:
            layout = self._named
        elif self.layout == "auto":
            layout = _detect(record, self.layouts)
        else:
            layout = next(layout for layout in self.layouts if layout.name == self.layout)
        yield from self._read(record, layout)

    def questions(self, record: Mapping[str, Any]) -> list[Source]:
        """As `sources`, but a record may have its answer alone, in the field of a layout or in `answer_field`. The
        answer is then its solution, too.

        Raises `UnreadableError` as `sources` does, and with the reason `no_final_answer` where a record has a question
        and neither a solution nor an answer.
        """
        try:
            return list(self.sources(record))
        except UnreadableError as error:
            if error.reason != "missing_field":
                raise
            known = [layout for layout in self.layouts if self.layout in ("auto", layout.name)]
            layouts = [self._named] if self.question_field else known
            asked = [layout for layout in layouts if layout.question and find(record, layout.question) is not None]
            if not asked:
                raise
        for layout in asked:
            answer = self.answer_field or layout.answer
            if answer and find(record, answer) is not None:
                return list(self._read(record, layout._replace(solution=answer, answer=answer)))
        raise UnreadableError("no_final_answer", "the record has a question, but no answer")

    @property
    def _named(self) -> Layout:
        """The layout of the named fields. Without a solution, the answer alone is one."""
        return Layout("", self.question_field, self.solution_field or self.answer_field)

    def _read(self, record: Mapping[str, Any], layout: Layout) -> Iterator[Source]:
        """The solutions of a record in a layout."""
        answer = _answer(record, self.answer_field or layout.answer)
        if answer is None and self.answer_field:
            raise UnreadableError("missing_field", f"the record has no text in {self.answer_field!r}")
        own = as_text(record.get("system")) or ""
        found = list(_texts(record, layout))
        for source in found if self.turns == "each" else found[-1:]:
            yield source._replace(answer=_as_letter(answer, source.question), system=source.system or own)


def _detect(record: Mapping[str, Any], layouts: Sequence[Layout]) -> Layout:
    """The first layout that fits a record's fields. Raises `UnreadableError` if none does."""
    first = next((layout for layout in layouts if _fits(record, layout)), None)
    if first is None:
        fields = ", ".join(map(str, record)) or "none"
        raise UnreadableError("missing_field", f"the fields ({fields[:200]}) fit no layout; name them by flags")
    same = (one for one in layouts if (one.question, one.solution) == (first.question, first.solution))
    return next((one for one in same if one.answer and as_text(find(record, one.answer))), first)


def _as_letter(answer: str | None, question: str) -> str | None:
    """The final answer, as a capital if it is the letter of an option."""
    is_small = answer is not None and len(answer) == 1 and answer.islower()
    return (option_of(answer, read_options(question)) if answer and is_small else None) or answer


def _answer(record: Mapping[str, Any], path: str) -> str | None:
    """The final answer in the field `path`; None if it is missing or empty. Raises `UnreadableError` for anything but
    one text or number."""
    value = find(record, path) if path else None
    if isinstance(value, list) and len(value) > 1:
        raise UnreadableError("unreadable_final", f"the record has {len(value)} answers in {path!r}, and must have one")
    if value is None or as_text(value) == "":
        return None
    return text_of(record, path)


def _fits(record: Mapping[str, Any], layout: Layout) -> bool:
    needed = (layout.turns,) if layout.turns else (layout.question, layout.solution)
    return all(find(record, path) is not None for path in needed)


def _texts(record: Mapping[str, Any], layout: Layout) -> Iterator[Source]:
    """The solutions of a record, without its answer."""
    if layout.turns:
        yield from map(_of_exchange, exchanges(_turns(record, layout.turns), layout.thoughts))
        return
    prompt = find(record, layout.question)
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict) and {"role", "from"} & set(prompt[0]):
        answer = find(record, layout.solution)
        last = answer if isinstance(answer, list) else [{"role": "assistant", "content": answer}]
        turns = _turns(record, layout.question)
        *_, exchange = exchanges([*turns, *last], layout.thoughts, first=len(turns))
        if not exchange.thoughts.field:
            exchange = exchange._replace(thoughts=find_thoughts(record, layout.thoughts, layout.solution))
        yield _of_exchange(exchange)
        return
    texts = [text_of(record, layout.question), as_text(find(record, layout.extra)) if layout.extra else None]
    question = "\n".join(text for text in texts if text)
    options = write_options(find(record, layout.options or OPTIONS))
    if options and read_options(question) != read_options(options):
        question = f"{question}\n{options}"
    thoughts = find_thoughts(record, layout.thoughts, layout.solution)
    yield _source(question, text_of(record, layout.solution), thoughts)


def _of_exchange(exchange: Exchange) -> Source:
    turns = exchange.before if len(exchange.before) > 1 else ()
    return _source(exchange.question, exchange.solution, exchange.thoughts)._replace(
        system=exchange.system, turns=turns
    )


def _source(question: str, solution: str, thoughts: Thoughts) -> Source:
    """Raises `UnreadableError` for an empty question."""
    if not question.strip():
        raise UnreadableError("missing_field", "the question is empty")
    if has_tags(solution):
        thoughts = Thoughts("")
    return Source(question, thoughts.before(solution), None, thoughts=thoughts.field)


def _turns(record: Mapping[str, Any], path: str) -> list[Any]:
    """The turns of a dialogue. Raises `UnreadableError` where there are none."""
    turns = find(record, path)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UnreadableError("missing_field", f"the record has no list of turns in {path!r}")
    return turns
