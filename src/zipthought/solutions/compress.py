"""Compression of files of real solutions: read, verify, compress, count; what fails is kept aside with its reason.

    compress_file(CompressConfig(input=Path("train.jsonl"), output=Path("out.jsonl"), format=("composed:2",)))

Every record of the input ends up in the output, once per format, or in ``OUTPUT.rejects.jsonl``, never in both and
never in neither. Records keep their order and the id of their source whatever the number of processes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from json.encoder import encode_basestring_ascii as quoted
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..core.methods import Method, RandomSteps
from ..files.atomic import atomic_open, refuse_directories
from ..files.sources import SourceItem, read_source
from ..surfaces import count_pieces
from ..tasks.splits import split_of
from . import FAMILIES, detect_family, get_family
from .text import Solution, UnreadableError, parse_text_format

BATCH_BYTES = 1 << 20
"""Bytes of input that a process works on at a time; one record may be longer."""
BATCH_RECORDS = 1000
"""Records that a process works on at a time, at most."""
SMALL = 8 << 20
"""Inputs of fewer bytes are not worth a second process, unless `workers` says so."""
BINS = 200
"""Of the histogram of token ratios, whose last bin holds all ratios of 2 and above."""

LAYOUTS = ("auto", "question-answer", "question-cot-answer", "alpaca", "sharegpt", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressConfig:
    """What to compress, how, and where to."""

    input: Path
    """JSON Lines, JSON, Parquet, or a Hugging Face dataset directory."""
    output: Path
    """A `.jsonl` file, which receives the records of all formats; or a directory, which receives a file per format."""
    format: tuple[str, ...] = ("composed:2",)
    """`composed:k`, `implicit:k`, `answer-only`, and baselines: `random-steps:p`, `prose`."""
    layout: str = "auto"
    """How a record is laid out: `question-answer` (the answer is the whole solution), `question-cot-answer`, `alpaca`,
    `sharegpt`, `messages`; `auto` finds it for each record by its fields."""
    question_field: str = ""
    """The field of the question, where no layout fits."""
    solution_field: str = ""
    """The field of the solution, where no layout fits."""
    answer_field: str = ""
    """The field of the final answer, where the solution does not state it."""
    id_field: str = "id"
    """The field of the source's id; records without it get a hash of their own text."""
    family: str = "auto"
    """What the solutions are: `gsm8k` (arithmetic in prose), `countdown`, or `auto`, by the question."""
    tokenizer: str = ""
    """A Hugging Face tokenizer (a directory or a tokenizer.json) to count tokens with; else word and punctuation
    pieces."""
    workers: int = 0
    """Processes; 0 means one for a small input, else as many as there are processors."""
    seed: int = 0
    """Of `random-steps`."""

    def __post_init__(self) -> None:
        formats = self.parsed_formats
        if not formats:
            raise ValueError("format is empty; give at least one, for example composed:2")
        if len(set(formats)) < len(formats):
            raise ValueError(f"a format is given twice: {', '.join(self.format)}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout {self.layout!r}; use {', '.join(LAYOUTS)}")
        if bool(self.question_field) != bool(self.solution_field):
            raise ValueError("question_field and solution_field go together; give both")
        if self.family != "auto":
            get_family(self.family)
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")
        if self.output.suffix and self.output.suffix != ".jsonl":
            raise ValueError(f"the output must be a .jsonl file or a directory, got {self.output}")

    @property
    def parsed_formats(self) -> list[Method]:
        return [parse_text_format(text) for text in self.format]

    @property
    def rejects_path(self) -> Path:
        """Where what does not verify goes."""
        return self.output.with_name(f"{self.output.name}.rejects.jsonl")

    def path(self, fmt: Method) -> Path:
        """The file of one format."""
        return self.output if self.output.suffix else self.output / f"{str(fmt).replace(':', '-')}.jsonl"


class Source(NamedTuple):
    """What a record of the input says."""

    question: str
    solution: str
    answer: str | None
    """The final answer where the record has it apart; else None."""


class Counts:
    """What was done, by reason and by format; adds up over processes."""

    def __init__(self, formats: Iterable[Method]) -> None:
        self.input = self.verified = self.ambiguous = self.unread = 0
        self.reasons: Counter[str] = Counter()
        self.before = 0
        self.after: Counter[str] = Counter()
        self.ratios = {str(fmt): [0] * (BINS + 1) for fmt in formats}

    def add(self, other: Counts) -> None:
        self.input += other.input
        self.verified += other.verified
        self.ambiguous += other.ambiguous
        self.unread += other.unread
        self.before += other.before
        self.reasons.update(other.reasons)
        self.after.update(other.after)
        for name, bins in other.ratios.items():
            self.ratios[name] = [a + b for a, b in zip(self.ratios[name], bins, strict=True)]

    def summary(self) -> dict[str, Any]:
        """As documented in docs/outputs.md; ratios are tokens after over tokens before, of one record each."""
        formats = {
            name: {
                "records": self.verified,
                "tokens_before": self.before,
                "tokens_after": self.after[name],
                "ratio": self.after[name] / self.before if self.before else None,
                **{f"ratio_p{p}": _quantile(bins, p) for p in (10, 50, 90)},
            }
            for name, bins in self.ratios.items()
        }
        return {
            "input": self.input,
            "verified": self.verified,
            "rejected": self.input - self.verified,
            "reasons": dict(self.reasons.most_common()),
            "ambiguous_operands": self.ambiguous,
            "unread_equations": self.unread,
            "formats": formats,
        }


def _quantile(bins: list[int], percent: int) -> float | None:
    """The lower edge of the bin that holds the quantile; None of nothing."""
    left = sum(bins) * percent / 100
    for place, count in enumerate(bins):
        left -= count
        if count and left <= 0:
            return place * 2 / BINS
    return None


def compress_file(config: CompressConfig, on_progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Compress a file. Returns the summary of `Counts`, with `files` and `rejects_file`.

    `on_progress` is told how many records are done. Raises `ValueError` and `OSError` for an input that cannot be read
    at all and for an output that cannot be written; then nothing appears.
    """
    formats = config.parsed_formats
    source = config.input.resolve()
    paths = {config.path(fmt) for fmt in formats} | {config.rejects_path}
    if source in {path.resolve() for path in paths}:
        raise ValueError(f"the output {config.output} is the input; choose another one")
    if not config.output.suffix and config.output.exists() and not config.output.is_dir():
        raise NotADirectoryError(f"the output directory {config.output} is a file; choose another one")
    refuse_directories(sorted(paths))
    token_counter(config.tokenizer)  # Raises here rather than in every process.
    counts = Counts(formats)
    items = iter(read_source(config.input))
    first = next(items, None)  # Raises for what cannot be opened, before anything is written.
    with ExitStack() as stack:
        files = {path: stack.enter_context(atomic_open(path)) for path in sorted(paths)}
        outputs: list[IO[bytes]] = [files[config.path(fmt)] for fmt in formats]
        batches = _batches([first, *()] if first else [], items)
        for lines, rejects, done in _work(config, batches):
            for file, text in zip(outputs, lines, strict=True):
                file.write(text)
            files[config.rejects_path].write(rejects)
            counts.add(done)
            if on_progress:
                on_progress(counts.input)
    return {
        **counts.summary(),
        "files": {str(fmt): str(config.path(fmt)) for fmt in formats},
        "rejects_file": str(config.rejects_path),
    }


def _batches(first: list[SourceItem], items: Iterator[SourceItem]) -> Iterator[list[SourceItem]]:
    batch, size = first, sum(len(item.text) for item in first)
    for item in items:
        batch.append(item)
        size += len(item.text)
        if size >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


Done = tuple[list[bytes], bytes, Counts]
"""Lines of each format, lines of rejects, and what was done."""


def _work(config: CompressConfig, batches: Iterator[list[SourceItem]]) -> Iterator[Done]:
    """The batches' results in order, a bounded number of them at a time."""
    workers = config.workers
    if not workers:
        small = config.input.is_file() and config.input.stat().st_size < SMALL
        workers = 1 if small else os.cpu_count() or 1
    if workers == 1:
        yield from (compress_batch(config, batch) for batch in batches)
        return
    waiting: deque[Future[Done]] = deque()
    # Not forked: the process may have threads (of Arrow, of torch) that a copy of it would wait for.
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        for batch in batches:
            waiting.append(pool.submit(compress_batch, config, batch))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def compress_batch(config: CompressConfig, batch: list[SourceItem]) -> Done:
    """The lines of some items in each format, and the lines of those that are rejected."""
    formats = config.parsed_formats
    count = token_counter(config.tokenizer)
    counts = Counts(formats)
    outputs: list[tuple[Method, str, list[str], list[int]]] = [
        (fmt, str(fmt), [], counts.ratios[str(fmt)]) for fmt in formats
    ]
    rejects: list[str] = []
    for item in batch:
        counts.input += 1
        record: Any = None
        try:
            record = _parse(item.text)
            source = read_fields(record, config)
            family = detect_family(source.question) if config.family == "auto" else FAMILIES[config.family]
            solution = family.read(source.question, source.solution, source.answer)
        except UnreadableError as error:
            counts.reasons[error.reason] += 1
            rejects.append(_reject(item, record, config, error))
            continue
        counts.verified += 1
        counts.ambiguous += solution.ambiguous
        counts.unread += len(solution.unread)
        before = count(solution.text + solution.tail)
        counts.before += before
        writer = _Lines(config, item, record, source, solution, family.NAME, family.SYSTEM)
        seed = f"{config.seed} {writer.source_id}"
        for fmt, name, lines, bins in outputs:
            text = solution.compress(fmt, seed, count)
            after = count(text)
            counts.after[name] += after
            bins[min(BINS, after * BINS // (2 * before)) if before else BINS] += 1
            lines.append(writer.line(fmt, text, before, after))
    return ["".join(lines).encode() for _, _, lines, _ in outputs], "".join(rejects).encode(), counts


_SURROGATE = re.compile(rb"\\u[dD]")


def _parse(text: bytes) -> dict[str, Any]:
    """The record that a line of a source holds. Raises `UnreadableError`."""
    if not text.strip():
        raise UnreadableError("empty_line", "empty line")
    try:
        record = json.loads(text.decode())
        if _SURROGATE.search(text):
            json.dumps(record, ensure_ascii=False).encode()  # Raises for half a pair of them, which no file can hold.
    except UnicodeDecodeError as error:
        raise UnreadableError("not_utf8", f"not UTF-8 (byte {error.start + 1} of the record)") from error
    except UnicodeEncodeError as error:
        raise UnreadableError("not_utf8", "not UTF-8 (half of a surrogate pair)") from error
    except RecursionError as error:
        raise UnreadableError("broken_json", "nested too deeply") from error
    except ValueError as error:  # json.JSONDecodeError is one; so is an integer of more digits than Python converts.
        raise UnreadableError("broken_json", str(error)) from error
    if not isinstance(record, dict):
        raise UnreadableError("not_an_object", f"not an object, but {type(record).__name__}")
    return record


def read_fields(record: Mapping[str, Any], config: CompressConfig) -> Source:
    """Question, solution and answer of a record. Raises `UnreadableError` naming the field that is missing."""
    if config.question_field:
        answer = _text(record, config.answer_field) if config.answer_field else None
        return Source(_text(record, config.question_field), _text(record, config.solution_field), answer)
    layout = _layout(record) if config.layout == "auto" else config.layout
    if layout == "messages":
        return _dialogue(record, "messages", "role", "content")
    if layout == "sharegpt":
        return _dialogue(record, "conversations", "from", "value")
    if layout == "alpaca":
        extra = record.get("input")
        question = _text(record, "instruction") + (f"\n{extra}" if isinstance(extra, str) and extra else "")
        return Source(question, _text(record, "output"), None)
    if layout == "question-cot-answer":
        return Source(_text(record, "question"), _text(record, "cot"), _text(record, "answer"))
    return Source(_text(record, "question"), _text(record, config.answer_field or "answer"), None)


def _layout(record: Mapping[str, Any]) -> str:
    """The layout that a record's fields fit. Raises `UnreadableError` where they fit none."""
    if "question" in record and "cot" in record:
        return "question-cot-answer"
    if "question" in record:
        return "question-answer"
    for field, layout in (("messages", "messages"), ("conversations", "sharegpt"), ("instruction", "alpaca")):
        if field in record:
            return layout
    fields = ", ".join(map(str, record)) or "none"
    raise UnreadableError("missing_field", f"the fields ({fields[:200]}) fit no layout; name them by flags")


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UnreadableError("missing_field", f"the record has no text in {field!r}")
    return value


_USER, _ASSISTANT = ("user", "human"), ("assistant", "gpt", "model")


def _dialogue(record: Mapping[str, Any], field: str, role: str, content: str) -> Source:
    """One question and one solution, after a system message or none."""
    turns = record.get(field)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UnreadableError("missing_field", f"the record has no list of turns in {field!r}")
    said = [turn for turn in turns if turn.get(role) != "system"]
    roles = [turn.get(role) for turn in said]
    if len(said) != 2 or roles[0] not in _USER or roles[1] not in _ASSISTANT:
        raise UnreadableError("not_one_turn", f"one user and one assistant turn are needed, got {roles[:6]}")
    return Source(_text(said[0], content), _text(said[1], content), None)


def _source_id(item: SourceItem, record: Any, config: CompressConfig) -> str:
    stated = record.get(config.id_field) if isinstance(record, dict) else None
    if isinstance(stated, str | int) and not isinstance(stated, bool):
        return str(stated)
    return hashlib.sha256(item.text.strip()).hexdigest()[:16]


def _reject(item: SourceItem, record: Any, config: CompressConfig, error: UnreadableError) -> str:
    """The line of a record that is kept aside: why, and its text as it was."""
    row = {"source_id": _source_id(item, record, config), "source_line": item.place, "reason": error.reason}
    try:
        original = {"original": item.text.decode()}
    except UnicodeDecodeError:
        original = {"original_base64": base64.b64encode(item.text).decode()}
    return json.dumps({**row, "detail": str(error), **original}) + "\n"


class _Lines:
    """The lines of one source record in several formats.

    They are canonical JSON, keys sorted, as `records.canonical_json` writes it; by hand, which is several times as fast
    where the question and the solution stand in a record twice.
    """

    def __init__(
        self,
        config: CompressConfig,
        item: SourceItem,
        record: dict[str, Any],
        source: Source,
        solution: Solution,
        family: str,
        system: str,
    ) -> None:
        self.source_id = _source_id(item, record, config)
        structure = hashlib.sha256(" ".join(source.question.split()).encode()).hexdigest()
        self._prompt = quoted(source.question)
        self._answer = quoted(solution.answer)
        self._system = quoted(system)
        self._index = item.place - 1
        self._n_ops = len(solution.steps)
        self._end = (
            f'"source_id":{quoted(self.source_id)},"split":"{split_of(structure)}","structure":"{structure}",'
            f'"surface":"{family}"'
        )

    def line(self, fmt: Method, completion: str, before: int, after: int) -> str:
        text = quoted(completion)
        k = 0 if fmt.NAME == "prose" else fmt.granularity(self._n_ops)
        share = f"{fmt.share:g}" if isinstance(fmt, RandomSteps) else "null"
        head = f'{{"answer":{self._answer},"completion":{text},"format":"{fmt.NAME}",'
        tail = (
            f'"index":{self._index},"k":{k},"messages":[{{"content":{self._system},"role":"system"}},'
            f'{{"content":{self._prompt},"role":"user"}},{{"content":{text},"role":"assistant"}}],"modulus":null,'
            f'"n_ops":{self._n_ops},"order":"forward","prompt":{self._prompt},"share":{share},{self._end},'
            f'"tokens":{after},"tokens_source":{before}}}'
        )
        digest = hashlib.sha256(f"{head}{tail}".encode()).hexdigest()[:16]
        return f'{head}"id":"{digest}",{tail}\n'


@cache
def token_counter(tokenizer: str) -> Callable[[str], int]:
    """What counts the tokens of a text. Raises `ValueError` for a tokenizer that cannot be loaded."""
    if not tokenizer:
        return count_pieces
    path = Path(tokenizer)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{tokenizer} has no tokenizer.json; give a directory with one, or the file itself")
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ValueError("counting with a tokenizer needs the package tokenizers; install zipthought[train]") from error
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        loaded = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises Exception itself.
        raise ValueError(f"{file} is not the tokenizer.json of a tokenizer: {error}") from error
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)
