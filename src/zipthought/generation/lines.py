"""Lines of records, put together from fragments of text: each line is a frame around rows of fragments.

A fragment ("The number of kites equals ", "the number of oaks plus 4. ") is made once and kept in a bank, by number; a
text is a row of such numbers. `make_record` says what a record is; `fastpath` which fragments make up its texts.

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
from ..records.chat import system_message
from ..tasks.sampling import Batch, SamplerConfig

MAX_TABLE = 1 << 17
"""Fragments that a bank keeps, some 10 MB of text; a larger bank makes those of each batch anew."""
BLOCK = 64
"""Records whose texts exist at a time: as many as stay in the processor's cache."""


class Bank:
    """Fragments of text, numbered. Tables are added first; then `table` may be called."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._makers: list[Callable[[int], str]] = []
        self.size = 0

    def add(self, size: int, make: Callable[[int], str]) -> int:
        """Add fragments ``make(0), ..., make(size - 1)``; returns the number of the first."""
        start = self.size
        self._starts.append(start)
        self._makers.append(make)
        self.size += size
        return start

    def _make(self, codes: np.ndarray) -> np.ndarray:
        tables = np.searchsorted(self._starts, codes, side="right") - 1
        texts = np.empty(len(codes), dtype=object)
        texts[:] = [
            self._makers[table](code - self._starts[table])
            for table, code in zip(tables.tolist(), codes.tolist(), strict=True)
        ]
        return texts

    def table(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fragments as an array of texts, and the places in it of these codes."""
        if self.size <= MAX_TABLE:
            return self._all, codes
        distinct, places = np.unique(codes, return_inverse=True)
        return self._make(distinct), places

    @cached_property
    def _all(self) -> np.ndarray:
        return self._make(np.arange(self.size))


class Rows(NamedTuple):
    """B texts as rows of fragments."""

    bank: Bank
    codes: np.ndarray
    """The fragments of all texts, one after the other."""
    ends: np.ndarray
    """(B,) where each text's fragments end."""


class Frame(NamedTuple):
    """What the lines of one format share: the text before each of the parts that differ, keys in alphabetical order.

    Names, numbers and the words of both surfaces need no escaping, so that the parts are their own JSON.
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


def frame_of(config: SamplerConfig, fmt: Method, surface: str, split: str) -> Frame:
    """The frame of records in forward order."""
    m, n = config.modulus, config.n_ops
    system = json.dumps(system_message(m, surface))
    return Frame(
        before_answer='{"answer":"',
        before_completion='","completion":"',
        before_id=f'","format":"{fmt.NAME}",',
        before_index='"index":',
        before_user=f',"k":{fmt.granularity(n)},"messages":[{{"content":{system},"role":"system"}},{{"content":"',
        before_assistant='","role":"user"},{"content":"',
        before_prompt=f'","role":"assistant"}}],"modulus":{m},"n_ops":{n},"order":"forward","prompt":"',
        before_structure=f'","split":"{split}","structure":"',
        end=f'","surface":"{surface}"}}',
    )


ID_BEFORE, ID_DIGITS, ID_AFTER = '"id":"', 16, '",'


def plain_lines(
    frames: Sequence[Frame], batch: Batch, answers: np.ndarray, prompts: Rows, completions: Sequence[Rows]
) -> Iterator[list[bytes]]:
    """The lines of a batch, some rows after the other: for each frame and its completions, a block.

    answers: (B,) residues.
    """
    indices, structures, residues = batch.index.tolist(), batch.structure, answers.tolist()
    prompt_texts, completion_texts = _texts(prompts), [_texts(rows) for rows in completions]
    for start in range(0, len(indices), BLOCK):
        rows = slice(start, start + BLOCK)
        shared = indices[rows], structures[rows], residues[rows], prompt_texts(rows)
        yield [_block(frame, *shared, texts(rows)) for frame, texts in zip(frames, completion_texts, strict=True)]


def _texts(rows: Rows) -> Callable[[slice], list[str]]:
    """What gives some of the texts, few at a time, which stay in the processor's cache."""
    table, codes = rows.bank.table(rows.codes)
    places, join = [0, *rows.ends.tolist()], "".join

    def some(part: slice) -> list[str]:
        bounds = places[part.start : part.stop + 1]
        first = bounds[0]
        flat = table.take(codes[first : bounds[-1]]).tolist()
        return [join(flat[low - first : high - first]) for low, high in pairwise(bounds)]

    return some


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
        parts += (head, ID_BEFORE, digest[:ID_DIGITS], ID_AFTER, tail, "\n")
    return "".join(parts).encode()
