"""Compression: the same reasoning in fewer or coarser steps, and in another order."""

from __future__ import annotations

from .methods import Method, parse_method
from .orders import ORDERS
from .problem import Problem
from .trace import Trace


def compress(source: Trace | Problem, method: str | Method = "explicit", order: str = "forward") -> Trace:
    """The trace of a problem (or of a trace's problem) by a method, or in a format such as ``composed:2``.

    Raises `ValueError` for an unknown format or order, for an order that needs a chain on a tree problem, and for a
    trace that was read from text, which knows no problem.
    """
    problem = source.problem if isinstance(source, Trace) else source
    if problem is None:
        raise ValueError("this trace was read from text and knows no problem; compress the Problem itself")
    if isinstance(method, str):
        method = parse_method(method)
    if method.needs:
        raise ValueError(f"format {method} needs a {' and a '.join(method.needs)}; problems of a task have none")
    direction = ORDERS.find(order)
    if direction.chains_only and not problem.is_chain:
        raise ValueError(f"order {order!r} needs a chain problem; tree problems have the order 'forward' only")
    return method.compress(problem, order)
