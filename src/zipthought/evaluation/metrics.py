"""What completions are worth: each one judged by the verifier, and a summary over many.

Wrong answers and answers that could not be read are counted apart, and the truncation rate stands beside the accuracy
(ECOSYSTEM.md, 1 and 8). Nothing here looks at text other than through `surfaces.verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.problem import Problem
from ..core.verify import ANSWERS, STEP_VERDICTS
from ..surfaces import verify
from .passk import ks_for, pass_at_k

Row = dict[str, Any]


def judge(problem: Problem, text: str, *, surface: str, truncated: bool, response_tokens: int) -> Row:
    """The verdict on one completion, as plain values.

    `stated` has the operations of each step that states some of the problem, whether or not it computes them right.
    `granularity` has the operations of each valid step that covers any. A completion without steps counts as one step
    of n_ops operations where its answer is correct, and as none where it is not: an empty text has compressed nothing.
    """
    verdict = verify(text, problem, surface)
    return {
        "answer": verdict.answer,
        "correct": verdict.answer == "correct",
        "faithful": verdict.faithful,
        "response_tokens": response_tokens,
        "truncated": truncated,
        "granularity": list(verdict.shown),
        "stated": [step.granularity for step in verdict.steps if step.granularity],
        "steps": [step.verdict for step in verdict.steps],
    }


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """The summary of judged completions; a mean over nothing is None.

    n                 problems (by `n_ops` and `index`, which rows need only where problems have several samples)
    completions       rows
    accuracy          share of correct answers; with several samples, their mean
    faithful          share of completions with a correct answer, every step valid and a complete chain
    response_tokens   mean, the end of sequence included
    truncated         share that ended for want of tokens
    ops_per_step      mean operations over the valid steps that cover any, all completions pooled
    single_op_share   share of those steps that cover one
    answers           completions by the verifier's word on the answer; `wrong` is read, the others could not be
    steps             steps by the verifier's word
    first_wrong_step  mean place (from 1) of the first step that is not valid, over completions that have one
    pass_at           "k" -> pass@k, for problems with more than one sample each; else empty
    faithful_at       the same for faithful completions, which no guess at the answer reaches
    """
    n = len(rows)
    granularity = [size for row in rows for size in row["granularity"]]
    answers = Counter(row["answer"] for row in rows)
    steps = Counter(step for row in rows for step in row["steps"])
    first_wrong = [
        place for row in rows if (place := next((i for i, s in enumerate(row["steps"], 1) if s != "valid"), None))
    ]
    problems: dict[Any, list[Row]] = {}
    for i, row in enumerate(rows):
        problems.setdefault((row["n_ops"], row["index"]) if "index" in row else i, []).append(row)
    samples = min(map(len, problems.values()), default=1)
    ks = ks_for(samples) if samples > 1 else []
    return {
        "n": len(problems),
        "completions": n,
        "accuracy": _mean([row["correct"] for row in rows]),
        "faithful": _mean([row["faithful"] for row in rows]),
        "response_tokens": _mean([row["response_tokens"] for row in rows]),
        "truncated": _mean([row["truncated"] for row in rows]),
        "ops_per_step": _mean(granularity),
        "single_op_share": _mean([size == 1 for size in granularity]),
        "answers": {verdict: answers[verdict] for verdict in ANSWERS},
        "steps": {verdict: steps[verdict] for verdict in STEP_VERDICTS},
        "first_wrong_step": _mean(first_wrong),
        "pass_at": {str(k): _pass_at(problems.values(), "correct", k) for k in ks},
        "faithful_at": {str(k): _pass_at(problems.values(), "faithful", k) for k in ks},
    }


def _pass_at(problems: Iterable[Sequence[Row]], mark: str, k: int) -> float | None:
    """The mean pass@k over the completions of each problem."""
    return _mean([pass_at_k(len(rows), sum(row[mark] for row in rows), k) for rows in problems])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


__all__ = ["Row", "judge", "summarize"]
