"""Lines of records, joined from fragments of text: each line is a frame around rows of fragments.

A fragment ("The number of kites equals ", "the number of oaks plus 4. ") is written once and kept in a bank under a
number. A text is a row of such numbers. `records.schema.make_record` defines what a record is; `fast` chooses the
fragments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..core.methods import Method
from ..surfaces import get_surface
from ..tasks.sampling import ProblemBatch, SamplerConfig

MAX_TABLE = 1 << 17
"""Fragments that a bank keeps, about 10 MB of text; a larger bank writes those of each batch anew."""
BLOCK = 64
"""Records whose texts exist at a time: they fit in the processor's cache."""
_ID_DIGITS = 16


class Bank:
    """Fragments of text, numbered. All tables are added before `table` is called."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._writers: list[Callable[[int], str]] = []
        self.size = 0

    def add(self, size: int, write: Callable[[int], str]) -> int:
        """Add the fragments ``write(0), ..., write(size - 1)``; returns the number of the first."""
        start = self.size
        self._starts.append(start)
        self._writers.append(write)
        self.size += size
        return start

    def _write(self, codes: np.ndarray) -> np.ndarray:
        tables = np.searchsorted(self._starts, codes, side="right") - 1
        texts = np.empty(len(codes), dtype=object)
        texts[:] = [
            self._writers[table](code - self._starts[table])
            for table, code in zip(tables.tolist(), codes.tolist(), strict=True)
        ]
        return texts

    def table(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An array of texts, and the index in it of each of these codes."""
        if self.size <= MAX_TABLE:
            return self._all, codes
        distinct, indices = np.unique(codes, return_inverse=True)
        return self._write(distinct), indices

    @cached_property
    def _all(self) -> np.ndarray:
        return self._write(np.arange(self.size))


class Rows(NamedTuple):
    """B texts as rows of fragments."""

    bank: Bank
    codes: np.ndarray
    """The fragments of all texts, one after the other."""
    ends: np.ndarray
    """(B,) where the fragments of each text end."""


class Frame(NamedTuple):
    """What the lines of one format share: the text before each part that differs, keys in alphabetical order.

    The parts are names, numbers and words that need no escaping in JSON.
    """

    before_answer: str
    before_completion: str
    before_id: str
    before_index: str
    before_user: str
    before_assistant: str
    before_prompt: str
    before_structure: str
    end: str


def frame_of(config: SamplerConfig, method: Method, surface: str, split: str) -> Frame:
    """The frame of records in forward order."""
    m, n = config.modulus, config.n_ops
    system = json.dumps(get_surface(surface).system_message(m))
    return Frame(
        before_answer='{"answer":"',
        before_completion='","completion":"',
        before_id=f'","format":"{method.NAME}",',
        before_index='"index":',
        before_user=f',"k":{method.granularity(n)},"messages":[{{"content":{system},"role":"system"}},{{"content":"',
        before_assistant='","role":"user"},{"content":"',
        before_prompt=f'","role":"assistant"}}],"modulus":{m},"n_ops":{n},"order":"forward","prompt":"',
        before_structure=f'","split":"{split}","structure":"',
        end=f'","surface":"{surface}"}}',
    )


def record_lines(
    frames: Sequence[Frame], batch: ProblemBatch, answers: np.ndarray, prompts: Rows, completions: Sequence[Rows]
) -> Iterator[list[bytes]]:
    """The lines of a batch, `BLOCK` rows at a time: a block of lines for each frame and its completions.

    answers: (B,) residues.
    """
    indices, structures, residues = batch.index.tolist(), batch.structure, answers.tolist()
    prompt_texts, completion_texts = _texts(prompts), [_texts(rows) for rows in completions]
    for start in range(0, len(indices), BLOCK):
        rows = slice(start, start + BLOCK)
        shared = indices[rows], structures[rows], residues[rows], prompt_texts(rows)
        yield [_block(frame, *shared, texts(rows)) for frame, texts in zip(frames, completion_texts, strict=True)]


def _texts(rows: Rows) -> Callable[[slice], list[str]]:
    """A function that joins the texts of a few rows."""
    table, codes = rows.bank.table(rows.codes)
    ends, join = [0, *rows.ends.tolist()], "".join

    def join_rows(part: slice) -> list[str]:
        bounds = ends[part.start : part.stop + 1]
        first = bounds[0]
        fragments = table.take(codes[first : bounds[-1]]).tolist()
        return [join(fragments[low - first : high - first]) for low, high in pairwise(bounds)]

    return join_rows


def _block(
    frame: Frame,
    indices: list[int],
    structures: Sequence[str],
    answers: list[int],
    prompts: list[str],
    completions: list[str],
) -> bytes:
    before_answer, before_completion, before_id, before_index, before_user, before_assistant = frame[:6]
    before_prompt, before_structure, end = frame[6:]
    sha256 = hashlib.sha256
    parts: list[str] = []
    for index, structure, answer, prompt, completion in zip(
        indices, structures, answers, prompts, completions, strict=True
    ):
        head = f"{before_answer}{answer}{before_completion}{completion}{before_id}"
        tail = (
            f"{before_index}{index}{before_user}{prompt}{before_assistant}{completion}{before_prompt}{prompt}"
            f"{before_structure}{structure}{end}"
        )
        digest = sha256(f"{head}{tail}".encode()).hexdigest()
        parts += (head, '"id":"', digest[:_ID_DIGITS], '",', tail, "\n")
    return "".join(parts).encode()
