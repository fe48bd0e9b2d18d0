"""Examples of a file: records of zipthought as they are, and what `compress` reads as records of the same fields.

A real solution with a final answer gets the messages that `compress` would write and `evaluate --data` asks. A dialogue
without one, such as general chat, keeps its own messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..evaluation.questions import system_message
from ..files.earlier import RECORD
from ..records.mixed import has_own_fields, read_mixed, right_answer
from ..records.reading import BadLine, problem_of
from ..records.schema import Record, check_record
from ..solutions.compress.reading import numbered
from ..solutions.layouts import Reading, Source
from ..solutions.sentences import split_trace
from ..solutions.solution import UnreadableError
from ..surfaces import SURFACES
from ..tasks.splits import SPLITS, split_of
from ..train.held_out import turns_of
from .tags import ORIGINAL, untagged

_QUESTIONS = ("question", "problem", "prompt", "instruction", "query", "input")
"""Fields of a question, where a record has no answer."""


class Example(NamedTuple):
    """One example of a file."""

    number: int
    """The number of its line or row, from 1."""
    record: Record
    question: str
    """The question without a tag, with all that a dialogue has before the answer."""
    completion: str
    structure: str
    """The identity of a synthetic problem; empty for a real one."""


def read_examples(file: Path, reading: Reading) -> Iterator[Example | BadLine]:
    """The examples of a file. Raises `OSError` and `ValueError` as `read_mixed` does."""
    for number, raw in enumerate(read_mixed(file, ()), 1):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            yield from examples_of(number, raw, reading)
        except ValueError as error:
            yield BadLine(number, str(error))


def examples_of(number: int, raw: Mapping[str, Any], reading: Reading) -> Iterator[Example]:
    """The examples of a record: one, or of a dialogue with `turns` of "each" several. Raises `ValueError`."""
    if has_own_fields(raw) or all(name in raw for name in RECORD):
        yield _own(number, untagged(_checked(raw)))
        return
    value = raw.get("id")
    name = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else str(number)
    for id_, source in numbered(name, list(reading.sources(raw))):
        record = _record_of(id_, number, source, reading)
        yield Example(number, _checked(record), source.question, source.solution, "")


def _checked(raw: Mapping[str, Any]) -> Record:
    """A record that training and exports can use. Raises `ValueError`."""
    for name in ("prompt", "completion"):
        if not isinstance(raw.get(name), str):
            raise UnreadableError("missing_field", f"the record has no text in {name!r}")
    turns = turns_of(raw)
    if [turn["role"] == "assistant" for turn in turns[-2:]] != [False, True]:
        raise UnreadableError("missing_field", "the last of the record's messages must be the assistant's")
    is_chat = turns[0]["role"] != "system"
    check_record({name: value for name, value in raw.items() if name != "messages"} if is_chat else raw)
    return dict(raw)


def _own(number: int, record: Record) -> Example:
    return Example(number, record, record["prompt"], record["completion"], structure_of(record))


def structure_of(record: Mapping[str, Any]) -> str:
    """The structure of the synthetic problem of a record; empty where it has none."""
    if record.get("surface") not in SURFACES and record.get("problem") is None:
        return ""
    if isinstance(record.get("structure"), str):
        return str(record["structure"])
    try:
        return problem_of(record).structure
    except ValueError:
        return ""


def _record_of(id_: str, number: int, source: Source, reading: Reading) -> Record:
    """The record of a solution as its author wrote it."""
    right = right_answer(source)
    family = reading.family_of(source.question)
    system = source.system or (system_message(family, source) if right is not None else "")
    first = next((turn["content"] for turn in source.turns if turn["role"] == "user"), source.question)
    structure = hashlib.sha256(" ".join(first.split()).encode("utf-8", "replace")).hexdigest()
    own: list[dict[str, Any]] = [*source.turns] or [{"role": "user", "content": source.question}]
    return {
        "id": "",
        "structure": structure,
        "split": SPLITS[0] if right is None else split_of(structure),
        "index": number - 1,
        "n_ops": None,
        "modulus": None,
        "format": ORIGINAL,
        "k": None,
        "order": "forward",
        "surface": None if right is None else family.NAME,
        "prompt": source.question,
        "completion": source.solution,
        "answer": right or "",
        "messages": [*([{"role": "system", "content": system}] if system else []), *own, _answer_turn(source)],
        "source_id": id_,
    }


def _answer_turn(source: Source) -> dict[str, str]:
    """The assistant's turn. A train of thought goes back to its field, as `compress` writes it."""
    if not source.thoughts:
        return {"role": "assistant", "content": source.solution}
    thoughts, content = (part.strip("\n") for part in split_trace(source.solution))
    own = {source.thoughts.rpartition(".")[2]: thoughts} if thoughts else {}
    return {"role": "assistant", "content": content, **own}


def read_evaluation(file: Path, reading: Reading) -> Iterator[tuple[int, str, str] | BadLine]:
    """(number, question, structure) of the records of an evaluation file, with or without an answer. Raises `OSError`
    and `ValueError` as `read_mixed` does."""
    for number, raw in enumerate(read_mixed(file, ()), 1):
        if isinstance(raw, BadLine):
            yield raw
            continue
        found = list(_questions(raw, reading))
        if not found:
            yield BadLine(number, "the record has no question")
        for question in found:
            yield number, question, structure_of(raw)


def _questions(raw: Mapping[str, Any], reading: Reading) -> Iterator[str]:
    if has_own_fields(raw) or all(name in raw for name in RECORD):
        parts = (raw.get("problem"), raw.get("question")) if raw.get("prompt") is None else (raw["prompt"],)
        yield from [" ".join(part for part in parts if isinstance(part, str))]
        return
    try:
        yield from (source.question for source in reading.questions(raw))
    except ValueError:
        turns = raw.get("messages") or raw.get("conversations")
        texts = [raw.get(name) for name in _QUESTIONS]
        if isinstance(turns, list):
            texts = [
                turn.get("content", turn.get("value"))
                for turn in turns
                if isinstance(turn, dict) and turn.get("role", turn.get("from")) in ("user", "human")
            ]
        yield from [text for text in texts if isinstance(text, str) and text.strip()][:1]


__all__ = ["Example", "examples_of", "read_evaluation", "read_examples", "structure_of"]
