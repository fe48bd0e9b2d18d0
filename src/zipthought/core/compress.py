"""Compression: the same reasoning in fewer or coarser steps, and in another order."""

from __future__ import annotations

from .formats import Format, parse_format
from .orders import ORDERS
from .problem import Problem
from .trace import Trace


def compress(source: Trace | Problem, fmt: str | Format = "explicit", order: str = "forward") -> Trace:
    """The trace of a problem (or of a trace's problem) in a format and an order.

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
    return Trace(ORDERS[order](problem, fmt), str(problem.answer), problem=problem)
