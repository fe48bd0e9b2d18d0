"""The kernels of generation in compiled code (numba), for large jobs: the same bytes in half the time or less.

What Python is left with is the digests. Each function says what `sampling`, `fastpath` and `lines` say with numpy;
tests hold them together. The first use on a machine compiles for some seconds; later ones load the result from a cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numba import int64, njit, types, uint64, uintp

from .fastpath import Kernels
from .lines import ID_AFTER, ID_BEFORE, ID_DIGITS, Frame, Rows, flat
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

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("numba is told not to compile (NUMBA_DISABLE_JIT)")

BLOCK = 128
"""Records whose lines exist at a time: as many as stay in the processor's cache."""
FEW = 64
"""Up to so many keys are ordered by counting."""
_MOST_DIGITS = 19
"""Of an int64."""
_BEFORE, _AFTER = (np.frombuffer(text.encode(), dtype=np.uint8) for text in (ID_BEFORE, ID_AFTER))
_ID_SIZE = len(ID_BEFORE) + ID_DIGITS + len(ID_AFTER)
_START, _OP, _CONSTANT, _DISTRACTORS, _DISTRACTOR, _NAME, _ALIAS, _SHUFFLE = map(
    first_counter, ("start", "op", "constant", "distractor_count", "distractor", "name", "alias", "shuffle")
)
_FIRST, _SECOND = MIX

_inline = njit(inline="always")


def _kernel(function: Callable) -> Any:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # No directory that could be written to keeps the result.
        return njit(nogil=True)(function)


# Drawing.


@_inline
def _mix(x):
    x = (x ^ (x >> uint64(30))) * _FIRST
    x = (x ^ (x >> uint64(27))) * _SECOND
    return x ^ (x >> uint64(31))


@_inline
def _state(key, index, attempt):
    return _mix(_mix(uint64(index) * GAMMA + key) + uint64(attempt) * GAMMA)


@_inline
def _bits(state, purpose, place):
    return _mix(state + (purpose + uint64(place)) * GAMMA)


@_inline
def _integer(state, purpose, place, low, high):
    return int64(((_bits(state, purpose, place) >> uint64(32)) * uint64(high - low)) >> uint64(32)) + low


@_inline
def _distinct(state, purpose, pool, picks, out):
    """The first places of a Fisher-Yates shuffle. pool: 0, 1, 2, ..., and so again afterwards."""
    for place in range(len(out)):
        pick = _integer(state, purpose, place, place, len(pool))
        picks[place], out[place] = pick, pool[pick]
        pool[pick] = pool[place]
    for place in range(len(out)):
        pool[picks[place]] = picks[place]


@_inline
def _order(keys, out):
    """The places of the keys in ascending order."""
    if len(keys) > FEW:
        out[: len(keys)] = np.argsort(keys)
        return
    for place in range(len(keys)):  # No branch depends on a key.
        before = 0
        for other in range(place):
            before += keys[other] <= keys[place]
        for other in range(place + 1, len(keys)):
            before += keys[other] < keys[place]
        out[before] = place


@_kernel
def _draw_chains(key, index, attempt, operators, times, high, op, constant):
    """operators: how many; times: which of them is `*`; op, constant: (B, n_ops + 1), to be filled."""
    for row in range(len(index)):
        state = _state(key, index[row], attempt)
        op[row, 0] = -1
        constant[row, 0] = _integer(state, _START, 0, 1, high)
        for place in range(op.shape[1] - 1):
            drawn = _integer(state, _OP, place, 0, operators)
            op[row, place + 1] = drawn
            constant[row, place + 1] = _integer(state, _CONSTANT, place, 2 if drawn == times else 1, high)


@_kernel
def _draw_surroundings(
    key, index, attempt, high, names, aliases, distractors, distractor_constant, name, alias, sentence
):
    """names, aliases: 0, 1, 2, ...; after them what is to be filled, as in `Surroundings`."""
    quantities, most = alias.shape[1], distractor_constant.shape[1]
    keys, picks = np.empty(quantities + most, dtype=np.uint64), np.empty(quantities + most, dtype=np.int64)
    for row in range(len(index)):
        state = _state(key, index[row], attempt)
        distractors[row] = _integer(state, _DISTRACTORS, 0, 1, most + 1)
        for place in range(most):
            distractor_constant[row, place] = _integer(state, _DISTRACTOR, place, 1, high)
        _distinct(state, _NAME, names, picks, name[row])
        _distinct(state, _ALIAS, aliases, picks, alias[row])
        told = quantities + distractors[row]
        for place in range(told):
            keys[place] = _bits(state, _SHUFFLE, place)
        _order(keys[:told], sentence[row])
        for place in range(told, len(keys)):
            sentence[row, place] = place


def _skeletons(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Skeletons:
    if config.task != "chain":
        return DRAWING.skeletons(config, key, index, attempt)
    op, constant = (np.empty((len(index), config.n_ops + 1), dtype=np.int64) for _ in range(2))
    operators = config.operators
    _draw_chains(key, index, attempt, len(operators), operators.find("*"), config.number_range, op, constant)
    return chain_skeletons(op, constant)


def _surroundings(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Surroundings:
    rows, quantities, most = len(index), config.n_quantities, config.max_distractors
    shapes = rows, (rows, most), (rows, quantities + most), (rows, quantities), (rows, quantities + most)
    drawn = Surroundings(*(np.empty(shape, dtype=np.int64) for shape in shapes))
    names, aliases = np.arange(len(nouns())), np.arange(N_ALIASES)
    _draw_surroundings(key, index, attempt, config.number_range, names, aliases, *drawn)
    return drawn


# Which fragments.


@_kernel
def _compute(op, constant, modulus, plus, minus):
    """op, constant: (B, n_ops + 1); plus, minus: which operators these are."""
    values = np.empty(op.T.shape, dtype=np.int64)
    for row in range(len(op)):
        value = constant[row, 0] % modulus
        values[0, row] = value
        for place in range(1, op.shape[1]):
            symbol, operand = op[row, place], constant[row, place]
            if symbol == plus:
                value += operand
            elif symbol == minus:
                value -= operand
            else:
                value *= operand
            value %= modulus
            values[place, row] = value
    return values


def _residues(batch: Batch) -> np.ndarray:
    operators = batch.config.operators
    return _compute(batch.op, batch.constant, batch.config.modulus, operators.find("+"), operators.find("-"))


@_kernel
def _tell(order, told, first, second, last):
    codes, ends = np.empty(2 * told.sum() + len(told), dtype=np.int64), np.empty(len(told), dtype=np.int64)
    at = 0
    for row in range(len(told)):
        for place in range(told[row]):
            sentence = order[row, place]
            codes[at], codes[at + 1] = first[row, sentence], second[row, sentence]
            at += 2
        codes[at] = last[row]
        at += 1
        ends[row] = at
    return codes, ends


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
    for place in range(start, end):
        code = codes[place]
        at = _copy(out, at, fragments, bounds[code], bounds[code + 1])
    return at


@_kernel
def _assemble(out, spans, first, last, indices, structures, answers, frame, prompts, completions):
    """The lines first..last-1 without their ids, each after a gap of an id's size; returns where they end.

    out: uint8, large enough. spans: (lines, 3) int64, becomes where each line starts, where its id belongs, and where
    it ends before its newline. structures: (B, 64) uint8. frame: bytes and bounds; prompts, completions: codes, ends,
    bytes and bounds.
    """
    pieces, edges = frame
    prompt_codes, prompt_ends, prompt_bytes, prompt_bounds = prompts
    codes, ends, fragments, bounds = completions
    at = 0
    for row in range(first, last):
        at += _ID_SIZE
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
def _insert(out, spans, digests):
    """Each line's id into its place: what stands before it moves into the gap. digests: (lines, 32) uint8."""
    for line in range(len(digests)):
        start, place = spans[line, 0], spans[line, 1]
        at = _copy(out, start - _ID_SIZE, out, start, place)
        at = _copy(out, at, _BEFORE, 0, len(_BEFORE))
        for digit in range(ID_DIGITS):
            half = (digests[line, digit // 2] >> (4 - digit % 2 * 4)) & 15
            out[at + digit] = half + (ord("0") if half < 10 else ord("a") - 10)
        _copy(out, at + ID_DIGITS, _AFTER, 0, len(_AFTER))


def _lines(
    frames: Sequence[Frame], batch: Batch, answers: np.ndarray, prompts: Rows, completions: Sequence[Rows], /
) -> Iterator[list[bytes]]:
    structures = np.frombuffer(batch.digest.tobytes().hex().encode(), dtype=np.uint8).reshape(len(answers), -1)
    shared, spans = (batch.index, structures, answers), np.empty((BLOCK, 3), dtype=np.int64)
    prompt, prompt_size = _arrays(prompts)
    formats = []
    for frame, rows in zip(frames, completions, strict=True):
        pieces = flat(frame)
        completion, completion_size = _arrays(rows)
        size = _ID_SIZE + len(pieces[0]) + structures.shape[1] + 2 * (_MOST_DIGITS + prompt_size + completion_size) + 1
        formats.append((np.empty(size * min(BLOCK, len(answers)), dtype=np.uint8), pieces, completion))

    sha256 = hashlib.sha256
    for first in range(0, len(answers), BLOCK):
        last = min(first + BLOCK, len(answers))
        blocks = []
        for out, pieces, completion in formats:
            end = _assemble(out, spans, first, last, *shared, pieces, prompt, completion)
            view, hashed = out.data, spans[: last - first, ::2].tolist()
            digests = b"".join([sha256(view[start:stop]).digest() for start, stop in hashed])
            _insert(out, spans, np.frombuffer(digests, dtype=np.uint8).reshape(last - first, -1))
            blocks.append(out[:end].tobytes())
        yield blocks


def _arrays(rows: Rows) -> tuple[tuple[np.ndarray, ...], int]:
    """Codes, ends, bytes and bounds; and the most bytes that a text can have."""
    fragments, bounds, codes = rows.bank.flat(rows.codes)
    longest, most = int(np.diff(bounds).max()), int(np.diff(rows.ends, prepend=0).max())
    return (codes, rows.ends, fragments, bounds), longest * most


COMPILED = Kernels(Drawing(_skeletons, _surroundings), _residues, _tell, _lines)
