"""Records of compressed solutions and of rejects, as lines of JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from ...core.methods import Method
from ...files.json_text import DuplicateKeyError, parse_json
from ...files.sources import SourceItem
from ...tasks.splits import split_of
from ..family import Family, system_message
from ..layouts import Source
from ..sentences import split_trace
from ..solution import Solution, UnreadableError

_SURROGATE = re.compile(rb"\\u[dD]")


def parse_record(text: bytes) -> dict[str, Any]:
    """The record of one item of a source. Raises `UnreadableError`."""
    if not text.strip():
        raise UnreadableError("empty_line", "empty line")
    try:
        record = parse_json(text.decode())
        if _SURROGATE.search(text):
            json.dumps(record, ensure_ascii=False).encode()  # Raises for half a pair, which cannot be written.
    except UnicodeDecodeError as error:
        raise UnreadableError("not_utf8", f"not UTF-8 (byte {error.start + 1} of the record)") from error
    except UnicodeEncodeError as error:
        raise UnreadableError("not_utf8", "not UTF-8 (half of a surrogate pair)") from error
    except DuplicateKeyError as error:
        raise UnreadableError("duplicate_key", str(error)) from error
    except RecursionError as error:  # Writing nests deeper than reading.
        raise UnreadableError("broken_json", "nested too deeply") from error
    except ValueError as error:
        raise UnreadableError("broken_json", str(error)) from error
    if not isinstance(record, dict):
        raise UnreadableError("not_an_object", f"not an object, but {type(record).__name__}")
    return record


def source_id(item: SourceItem, record: Any, id_field: str) -> str:
    """The id that a record has in `id_field`, or else a hash of its text."""
    value = record.get(id_field) if isinstance(record, dict) else None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return hashlib.sha256(item.text.strip()).hexdigest()[:16]


def reject_line(item: SourceItem, id: str, error: UnreadableError) -> str:  # noqa: A002
    """The line of a rejected record: its reason, and its original text."""
    row = {"source_id": id, "source_line": item.number, "reason": error.reason}
    try:
        original = {"original": item.text.decode()}
    except UnicodeDecodeError:
        original = {"original_base64": base64.b64encode(item.text).decode()}
    return json.dumps({**row, "detail": str(error), **original}) + "\n"


class RecordWriter:
    """Writes one solution as records of several formats.

    A line is canonical JSON with sorted keys, the same as `records.schema.canonical_json` writes. It is put together
    from parts, which is several times as fast because a record has its question and its solution twice.
    """

    def __init__(self, source_id: str, index: int, source: Source, solution: Solution, family: Family) -> None:
        """`index` is the position of the source record in its file, from 0."""
        question = source.question
        # A dialogue is in one split as a whole. Its first turn may be a greeting that many dialogues have.
        first = next((turn["content"] for turn in source.turns if turn["role"] == "user"), question)
        structure = hashlib.sha256(" ".join(first.split()).encode()).hexdigest()
        self._prompt = quoted(question)
        self._answer = quoted(solution.answer)
        system = quoted(source.system or system_message(family, solution))
        turns = "".join(f"{_canonical(turn)}," for turn in source.turns)
        turns = turns or f'{{"content":{self._prompt},"role":"user"}},'
        self._before = f'{{"content":{system},"role":"system"}},{turns}'
        self._thoughts = source.thoughts
        self._index = index
        self._n_ops = len(solution.steps)
        self._end = (
            f'"source_id":{quoted(source_id)},"split":"{split_of(structure)}","structure":"{structure}",'
            f'"surface":{quoted(family.NAME)}'
        )
        self._unread = len(solution.unread)
        self._accepted = f'"accepted":{quoted(solution.accepted)},' if solution.accepted else ""

    def line(self, method: Method, completion: str, n_tokens: int, n_source_tokens: int) -> str:
        """The line of the record in one format, where `completion` is the compressed text."""
        text, fields = quoted(completion), method.fields(self._n_ops)
        parameter = f'"parameter":{quoted(fields["parameter"])},' if "parameter" in fields else ""
        share = f"{fields['share']:g}" if "share" in fields else "null"
        head = f'{{{self._accepted}"answer":{self._answer},"completion":{text},"format":{quoted(method.NAME)},'
        tail = (
            f'"index":{self._index},"k":{fields["k"]},'
            f'"messages":[{self._before}{self._turn(completion, text)}],"modulus":null,'
            f'"n_ops":{self._n_ops},"order":"forward",{parameter}"prompt":{self._prompt},'
            f'"share":{share},{self._end},"tokens":{n_tokens},"tokens_source":{n_source_tokens},'
            f'"unread":{self._unread}}}'
        )
        digest = hashlib.sha256(f"{head}{tail}".encode()).hexdigest()[:16]
        return f'{head}"id":"{digest}",{tail}\n'

    def _turn(self, completion: str, text: str) -> str:
        """The assistant's turn, where `text` is the completion as JSON. A train of thought goes back to its field."""
        if not self._thoughts:
            return f'{{"content":{text},"role":"assistant"}}'
        thoughts, content = (part.strip("\n") for part in split_trace(completion))
        own = {self._thoughts.rpartition(".")[2]: thoughts} if thoughts else {}
        return _canonical({"role": "assistant", "content": content, **own})


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
