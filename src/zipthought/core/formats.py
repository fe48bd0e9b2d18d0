"""Formats: ``explicit``, ``composed:k``, ``implicit:k``, ``answer-only``, and how a granularity k groups operations;
and the baseline ``random-steps:p``, which drops steps without regard to what they say.

Where the paper groups a chain at breakpoints 0, k, 2k, ..., n (section 3.2), the grouping here is stated for any
dependency graph: a quantity is settled as soon as it would cover k operations, which gives the same breakpoints on a
chain.
"""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from .arithmetic import BinOp, Expr, references, substitute
from .problem import Problem

Name = TypeVar("Name", bound=Hashable)


class Format(NamedTuple):
    """A compression format and its granularity k (0 for `answer-only`, where k is all operations)."""

    name: str
    k: int
    share: float = 1.0
    """Of `random-steps`: how much of the explicit trace it keeps."""

    def __str__(self) -> str:
        if self.name == RANDOM_STEPS:
            return f"{self.name}:{self.share:g}"
        return f"{self.name}:{self.k}" if self.name in ("composed", "implicit") else self.name


FORMATS = ("explicit", "composed", "implicit", "answer-only")
"""Of the taxonomy: their traces are faithful."""
RANDOM_STEPS = "random-steps"
"""No format of the taxonomy, but what a compression of equal length must beat; its traces are not faithful."""
BASELINES = ("answer-only", RANDOM_STEPS)
"""Formats that stand beside the others for comparison."""


def parse_format(text: str) -> Format:
    """The format that ``name`` or ``name:k`` says, or the baseline ``random-steps:p``.

    `composed:1` is `explicit` under another name, and becomes it. Raises `ValueError` with the formats that exist.
    """
    if text.startswith(f"{RANDOM_STEPS}:") or text == RANDOM_STEPS:
        share = text.removeprefix(RANDOM_STEPS).removeprefix(":")
        if not re.fullmatch(r"0?\.[0-9]{1,9}|1|1\.0", share) or not float(share):
            raise ValueError(f"{RANDOM_STEPS} needs the share of the text to keep, above 0 and at most 1, got {text!r}")
        return Format(RANDOM_STEPS, 1, float(share))
    match = re.fullmatch(r"([a-z-]+)(?::(-?[0-9]{1,9}))?", text)
    name, k = match.groups() if match else (None, None)
    if name not in FORMATS:
        raise ValueError(f"unknown format {text!r}; use explicit, composed:k, implicit:k or answer-only")
    if name in ("explicit", "answer-only"):
        if k is not None:
            raise ValueError(f"format {name!r} takes no k, got {text!r}; use {name!r}")
        return Format(name, 1 if name == "explicit" else 0)
    if k is None:
        raise ValueError(f"format {name!r} needs a granularity; write {name}:2")
    if int(k) < 1:
        raise ValueError(f"granularity k must be at least 1, got {text!r}; composed:1 is explicit")
    return Format("explicit", 1) if (name, int(k)) == ("composed", 1) else Format(name, int(k))


def is_baseline(text: str) -> bool:
    """Whether a format stands beside the others for comparison only. Raises `ValueError` as `parse_format` does."""
    return parse_format(text).name in BASELINES


def group(operands: Mapping[Name, Sequence[Name]], k: int, shown: Container[Name]) -> set[Name]:
    """Which of some steps a trace of granularity k shows, where each of the others stands nested in the step after it.

    operands: each step's name, in order, with the earlier names that it uses, repeats included. `shown` are shown in
    any case. No group covers more than k steps: where two nested operands would exceed it, the larger is shown.
    """
    pending: dict[Name, int] = {}
    ends: set[Name] = set()
    for name, refs in operands.items():
        open_refs = sorted((ref for ref in refs if pending.get(ref)), key=pending.__getitem__)
        while open_refs and 1 + sum(pending[ref] for ref in open_refs) > k:
            ref = open_refs.pop()
            ends.add(ref)
            pending[ref] = 0
            open_refs = [other for other in open_refs if other != ref]
        pending[name] = 1 + sum(pending[ref] for ref in open_refs)
        if pending[name] >= k or name in shown:
            ends.add(name)
            pending[name] = 0
    return ends


def group_ends(problem: Problem, k: int) -> list[str]:
    """The quantities that a trace of granularity k settles by an operation, in order; the target is the last."""
    # With repeats: what stands twice in a definition stands twice in the nested expression.
    ends = group({name: problem.definitions[name][1:] for name in problem.operations}, k, (problem.target,))
    return sorted(ends, key=problem.position.__getitem__)


def nested(problem: Problem, name: str, settled: set[str]) -> BinOp:
    """The definition of `name`, with every quantity that is not in `settled` replaced by its own definition."""
    needed = [name]
    for one in needed:  # Grows while it is read: each name comes before those that its definition unfolds.
        needed += [ref for ref in references(problem.definitions[one]) if ref not in settled]
    unfolded: dict[str, Expr] = {}
    for one in reversed(needed):
        unfolded[one] = substitute(problem.definitions[one], unfolded)
    return unfolded[name]
