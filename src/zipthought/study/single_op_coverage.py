"""Single-operation coverage, the measure of decomposition: the share of a problem's operations that a completion shows
singly and validly.

An operation is shown singly if a valid step works it out and no other new operation. The verifier counts an operation
once, for the first valid step that works it out, and only if the target depends on it (`core.verify`). So the measure
is the number of valid steps of granularity 1 over the problem's operations. The problem fixes the denominator: neither
more steps, nor restated relations, nor a guess after the first step change it. The measure is linear in the
completions. It is 1 for an explicit trace, and 0 for a completion without steps.
"""

from __future__ import annotations

from ..core.compress import compress
from ..core.problem import Problem
from ..core.verify import check
from ..evaluation.metrics import JudgedCompletion
from ..surfaces import verify


def single_op_coverage(completion: JudgedCompletion) -> float:
    """The share of the problem's operations that valid steps of granularity 1 work out, 0..1."""
    return completion.valid.count(1) / completion.n_ops


def attempted_coverage(completion: JudgedCompletion, problem: Problem) -> float:
    """The same with steps whose arithmetic is wrong: how the completion is written, whether or not it is right, 0..1.

    A model that writes the same steps and calculates better raises `single_op_coverage` and leaves this one unchanged.
    """
    verdict = verify(completion.completion, problem, completion.surface)
    return len({step.name for step in verdict.steps if step.granularity == 1}) / completion.n_ops


def format_coverage(problem: Problem, fmt: str) -> float:
    """The `single_op_coverage` of the problem's own trace in a format. A format leaves single operations where its
    grouping ends short: `composed:2` writes a chain of three operations as a step of two and a step of one, so 1/3."""
    trace = compress(problem, fmt)
    return check(trace, problem).granularity.count(1) / problem.n_ops if trace.steps else 0.0
