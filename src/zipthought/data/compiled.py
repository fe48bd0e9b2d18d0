"""The inner loops of generation in compiled code (numba), for large jobs: the same bytes in less time.

What Python is left with is the digests. `sampling` and `lines` say the same with numpy; tests hold them together. The
first use on a machine compiles for some seconds; later ones load the result from numba's cache, whose key is this file
alone: what comes from other files is handed to the kernels, and not a constant of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numba import int64, njit, types, uint64, uintp

from .fastpath import Kernels
from .lines import BLOCK, ID_AFTER, ID_BEFORE, ID_DIGITS, Frame, Rows, flat
from .sampling import (
    DRAWING,
    GAMMA,
    MIX,
    N_ALIASES,
    Batch,
    Drawing,
    SamplerConfig,
    Skeletons,
    Surroundings,
    chain_skeletons,
    first_counter,
    nouns,
)

BUFFER = 1 << 20
"""Bytes for lines that are made at a time: what stays in the processor's cache."""
_MOST_DIGITS = 19
"""Of an int64."""
_MIXING = (GAMMA, *MIX)
_CHAIN_COUNTERS = tuple(map(first_counter, ("start", "op", "constant")))
_COUNTERS = tuple(map(first_counter, ("distractor_count", "distractor", "name", "alias", "shuffle")))
_ID_PARTS = (*(np.frombuffer(text.encode(), dtype=np.uint8) for text in (ID_BEFORE, ID_AFTER)), ID_DIGITS)
_ID_SIZE = len(ID_BEFORE) + ID_DIGITS + len(ID_AFTER)

_inline = njit(inline="always")
_kernel = njit(nogil=True, cache=True)


# Drawing.


@_inline
def _mix(x, mixing):
    x = (x ^ (x >> uint64(30))) * mixing[1]
    x = (x ^ (x >> uint64(27))) * mixing[2]
    return x ^ (x >> uint64(31))


@_inline
def _state(key, index, attempt, mixing):
    """What all draws of an item and an attempt start from, uint64."""
    return _mix(_mix(uint64(index) * mixing[0] + key, mixing) + uint64(attempt) * mixing[0], mixing)


@_inline
def _bits(state, counter, place, mixing):
    """64 bits. counter: the first of a purpose."""
    return _mix(state + (counter + uint64(place)) * mixing[0], mixing)


@_inline
def _integer(state, counter, place, low, high, mixing):
    """int64, in low..high-1."""
    drawn = _bits(state, counter, place, mixing) >> uint64(32)
    return int64((drawn * uint64(high - low)) >> uint64(32)) + low


@_inline
def _distinct(state, counter, pool, picks, out, mixing):
    """The first places of a Fisher-Yates shuffle. pool: 0, 1, 2, ..., and so again afterwards."""
    for place in range(len(out)):
        pick = _integer(state, counter, place, place, len(pool), mixing)
        picks[place], out[place] = pick, pool[pick]
        pool[pick] = pool[place]
    for place in range(len(out)):
        pool[picks[place]] = picks[place]


@_inline
def _order(keys, out):
    """The places of the keys in ascending order, by counting: no branch depends on a key."""
    for place in range(len(keys)):
        before = 0
        for other in range(place):
            before += keys[other] <= keys[place]
        for other in range(place + 1, len(keys)):
            before += keys[other] < keys[place]
        out[before] = place


@_kernel
def _draw_chains(key, index, attempt, operators, times, high, op, constant, counters, mixing):
    """operators: how many; times: which of them is `*`; op, constant: (B, n_ops + 1), to be filled."""
    start, operator, operand = counters
    for row in range(len(index)):
        state = _state(key, index[row], attempt, mixing)
        op[row, 0] = -1
        constant[row, 0] = _integer(state, start, 0, 1, high, mixing)
        for place in range(op.shape[1] - 1):
            drawn = _integer(state, operator, place, 0, operators, mixing)
            op[row, place + 1] = drawn
            constant[row, place + 1] = _integer(state, operand, place, 2 if drawn == times else 1, high, mixing)


@_kernel
def _draw_surroundings(key, index, attempt, high, names, aliases, counters, mixing, drawn):
    """names, aliases: 0, 1, 2, ...; drawn: as in `Surroundings`, to be filled."""
    count, distractor, name_counter, alias_counter, shuffle = counters
    distractors, distractor_constant, name, alias, sentence = drawn
    quantities, most = alias.shape[1], distractor_constant.shape[1]
    keys, picks = np.empty(quantities + most, dtype=np.uint64), np.empty(quantities + most, dtype=np.int64)
    for row in range(len(index)):
        state = _state(key, index[row], attempt, mixing)
        distractors[row] = _integer(state, count, 0, 1, most + 1, mixing)
        for place in range(most):
            distractor_constant[row, place] = _integer(state, distractor, place, 1, high, mixing)
        _distinct(state, name_counter, names, picks, name[row], mixing)
        _distinct(state, alias_counter, aliases, picks, alias[row], mixing)
        told = quantities + distractors[row]
        for place in range(told):
            keys[place] = _bits(state, shuffle, place, mixing)
        _order(keys[:told], sentence[row])
        for place in range(told, len(keys)):
            sentence[row, place] = place


def _skeletons(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Skeletons:
    if config.task != "chain":
        return DRAWING.skeletons(config, key, index, attempt)
    op, constant = (np.empty((len(index), config.n_ops + 1), dtype=np.int64) for _ in range(2))
    operators = len(config.operators), config.operators.find("*")
    _draw_chains(key, index, attempt, *operators, config.number_range, op, constant, _CHAIN_COUNTERS, _MIXING)
    return chain_skeletons(op, constant)


def _surroundings(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Surroundings:
    rows, quantities, most = len(index), config.n_quantities, config.max_distractors
    shapes = rows, (rows, most), (rows, quantities + most), (rows, quantities), (rows, quantities + most)
    drawn = tuple(np.empty(shape, dtype=np.int64) for shape in shapes)
    names, aliases = np.arange(len(nouns())), np.arange(N_ALIASES)
    _draw_surroundings(key, index, attempt, config.number_range, names, aliases, _COUNTERS, _MIXING, drawn)
    return Surroundings(*drawn)


# Lines.

_memmove = types.ExternalFunction("memmove", uintp(uintp, uintp, uintp))


@_inline
def _copy(out, at, source, start, end):
    """Bytes start..end of `source` into `out`; where they end there."""
    _memmove(out.ctypes.data + uintp(at), source.ctypes.data + uintp(start), uintp(end - start))
    return at + end - start


@_inline
def _number(out, at, value):
    """A number of at least 0 in decimal digits; where they end."""
    digits, rest = 1, value // 10
    while rest:
        digits, rest = digits + 1, rest // 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = ord("0") + value % 10
        value //= 10
    return at + digits


@_inline
def _text(out, at, codes, start, end, fragments, bounds):
    """The fragments of codes start..end; where they end."""
    for place in range(start, end):
        code = codes[place]
        at = _copy(out, at, fragments, bounds[code], bounds[code + 1])
    return at


@_kernel
def _assemble(out, spans, gap, first, last, indices, structures, answers, frame, prompts, completions):
    """The lines first..last-1 without their ids, each after a gap, where one will have its place; where they end.

    out: uint8, large enough. spans: (lines, 3) int64, becomes where each line starts, where its id belongs, and where
    it ends before its newline. structures: (B, 64) uint8. frame: bytes and bounds; prompts, completions: codes, ends,
    bytes and bounds.
    """
    pieces, edges = frame
    prompt_codes, prompt_ends, prompt_bytes, prompt_bounds = prompts
    codes, ends, fragments, bounds = completions
    at = 0
    for row in range(first, last):
        at += gap
        spans[row - first, 0] = at
        at = _copy(out, at, pieces, edges[0], edges[1])
        at = _number(out, at, answers[row])
        at = _copy(out, at, pieces, edges[1], edges[2])
        completion = at
        at = _text(out, at, codes, ends[row - 1] if row else 0, ends[row], fragments, bounds)
        completion_end = at
        at = _copy(out, at, pieces, edges[2], edges[3])
        spans[row - first, 1] = at
        at = _copy(out, at, pieces, edges[3], edges[4])
        at = _number(out, at, indices[row])
        at = _copy(out, at, pieces, edges[4], edges[5])
        prompt = at
        start = prompt_ends[row - 1] if row else 0
        at = _text(out, at, prompt_codes, start, prompt_ends[row], prompt_bytes, prompt_bounds)
        prompt_end = at
        at = _copy(out, at, pieces, edges[5], edges[6])
        at = _copy(out, at, out, completion, completion_end)
        at = _copy(out, at, pieces, edges[6], edges[7])
        at = _copy(out, at, out, prompt, prompt_end)
        at = _copy(out, at, pieces, edges[7], edges[8])
        for place in range(structures.shape[1]):
            out[at + place] = structures[row, place]
        at += structures.shape[1]
        at = _copy(out, at, pieces, edges[8], edges[9])
        spans[row - first, 2] = at
        out[at] = ord("\n")
        at += 1
    return at


@_kernel
def _insert(out, spans, digests, parts):
    """Each line's id into its place: what stands before it moves into the gap.

    digests: (lines, 32) uint8. parts: what stands before the digits of an id and after them, uint8, and how many.
    """
    before, after, digits = parts
    gap = len(before) + digits + len(after)
    for line in range(len(digests)):
        start, place = spans[line, 0], spans[line, 1]
        at = _copy(out, start - gap, out, start, place)
        at = _copy(out, at, before, 0, len(before))
        for digit in range(digits):
            half = (digests[line, digit // 2] >> (4 - digit % 2 * 4)) & 15
            out[at + digit] = half + (ord("0") if half < 10 else ord("a") - 10)
        _copy(out, at + digits, after, 0, len(after))


def _lines(
    frames: Sequence[Frame], batch: Batch, answers: np.ndarray, prompts: Rows, completions: Sequence[Rows], /
) -> Iterator[list[bytes]]:
    structures = np.frombuffer(batch.digest.tobytes().hex().encode(), dtype=np.uint8).reshape(len(answers), 64)
    shared, sha256 = (batch.index, structures, answers), hashlib.sha256
    prompt, prompt_size = _arrays(prompts)
    formats, size = [], 1
    for frame, rows in zip(frames, completions, strict=True):
        pieces = flat(frame)
        completion, completion_size = _arrays(rows)
        formats.append((pieces, prompt, completion))
        parts = 2 * (_MOST_DIGITS + prompt_size + completion_size) + structures.shape[1]
        size = max(size, _ID_SIZE + len(pieces[0]) + parts + len("\n"))
    step = max(1, min(BLOCK, BUFFER // size))
    out, spans = np.empty(size * step, dtype=np.uint8), np.empty((step, 3), dtype=np.int64)
    view = out.data

    for first in range(0, len(answers), step):
        last = min(first + step, len(answers))
        blocks = []
        for texts in formats:
            end = _assemble(out, spans, _ID_SIZE, first, last, *shared, *texts)
            hashed = spans[: last - first, ::2].tolist()
            digests = b"".join([sha256(view[start:stop]).digest() for start, stop in hashed])
            _insert(out, spans, np.frombuffer(digests, dtype=np.uint8).reshape(last - first, -1), _ID_PARTS)
            blocks.append(out[:end].tobytes())
        yield blocks


def _arrays(rows: Rows) -> tuple[tuple[np.ndarray, ...], int]:
    """Codes, ends, bytes and bounds; and the most bytes that a text can have."""
    fragments, bounds, codes = rows.bank.flat(rows.codes)
    longest, most = np.diff(bounds).max(initial=0), np.diff(rows.ends, prepend=0).max(initial=0)
    return (codes, rows.ends, fragments, bounds), int(longest * most)


COMPILED = Kernels(Drawing(_skeletons, _surroundings), _lines)
