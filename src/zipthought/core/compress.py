"""Compression: the same reasoning in fewer or coarser steps, and in another order."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .arithmetic import walk
from .formats import RANDOM_STEPS, Format, parse_format
from .orders import ORDERS
from .problem import Problem
from .trace import Step, Trace


def compress(source: Trace | Problem, fmt: str | Format = "explicit", order: str = "forward") -> Trace:
    """The trace of a problem (or of a trace's problem) in a format and an order.

    `random-steps:p` is no compression but a baseline: the explicit trace with steps dropped (`prune`).

    Raises `ValueError` for an unknown format or order, for an order other than forward on a tree problem (its
    quantities are not linear forms of one start), and for a trace that knows no problem since it was read from text.
    """
    problem = source.problem if isinstance(source, Trace) else source
    if problem is None:
        raise ValueError("this trace was read from text and knows no problem; compress the Problem itself")

    if isinstance(fmt, str):
        fmt = parse_format(fmt)
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}; use {', '.join(ORDERS)}")
    if order != "forward" and not problem.is_chain:
        raise ValueError(f"order {order!r} needs a chain problem; tree problems have the order 'forward' only")
    if fmt.name == "answer-only":
        return Trace((), str(problem.answer), problem=problem)
    steps = ORDERS[order](problem, fmt)
    if fmt.name == RANDOM_STEPS:
        steps = prune(steps, fmt.share, random.Random(f"{RANDOM_STEPS} {problem.structure}"))
    return Trace(steps, str(problem.answer), problem=problem)


def prune(steps: Sequence[Step], share: float, rng: random.Random) -> tuple[Step, ...]:
    """The steps without some that are drawn at random, the last never, so that on average `share` of the symbols is
    left (more where the last step alone is longer). What is left may use what is not there any more."""
    sizes = [2 + sum(1 + len(walk(side)) for side in step.sides) for step in steps]  # The name, the stop, the sides.
    excess = (1 - share) * sum(sizes)
    dropped = set()
    for place in rng.sample(range(len(steps) - 1), len(steps) - 1):
        if rng.random() * sizes[place] >= excess:  # The step that is longer than what is left to drop goes at times.
            break
        dropped.add(place)
        excess -= sizes[place]
    return tuple(step for place, step in enumerate(steps) if place not in dropped)
