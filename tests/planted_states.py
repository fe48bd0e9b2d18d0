"""Measurements of the decomposition with known differences between states, for tests of its verdicts."""

import numpy as np

from zipthought.study.cells import BASE_STATE
from zipthought.study.experiments.decomposition import NAMES
from zipthought.study.experiments.decomposition.measurements import DecompositionMeasurements

N_OPS = 3
EQUAL = dict.fromkeys(NAMES, 0.3)


def planted(coverage, accuracy=None, wrong=0.0, faithful=0.95, seeds=5, problems=200, noise=0.03, rng=0, sft_steps=30):
    """States with these mean coverages (and accuracies; by default the same), each a number or (S, 1).

    Each seed shifts a state by N(0, noise), but the base has one row for all. Each problem shifts all states, by up to
    0.1. Of the operations that are not shown singly and validly, the share `wrong` (or that of the state) is shown
    singly with a wrong result. Half of the problems are of trained lengths.
    """
    rng = np.random.default_rng(rng)
    accuracy = accuracy or coverage
    wrong = wrong if isinstance(wrong, dict) else dict.fromkeys(coverage, wrong)
    easy = rng.uniform(-0.1, 0.1, problems)
    single, attempts, correct, right = {}, {}, {}, {}
    for state in coverage:
        rows = 1 if state == BASE_STATE else seeds
        shift = 0.0 if state == BASE_STATE else rng.normal(0, noise, (rows, 1))
        shape = (rows, problems)
        count = rng.binomial(N_OPS, np.clip(np.broadcast_to(coverage[state] + shift + easy, shape), 0, 1))
        more = rng.binomial(N_OPS - count, wrong[state])
        values = (count / N_OPS, (count + more) / N_OPS)
        single[state], attempts[state] = (np.broadcast_to(v, (seeds, problems)) for v in values)
        solved = rng.random(shape) < np.clip(accuracy[state] + shift + easy, 0, 1)
        correct[state] = np.broadcast_to(solved, (seeds, problems))
        right[state] = rng.random((seeds, problems)) < faithful
    return DecompositionMeasurements(
        format="composed:2",
        sft_steps=sft_steps,
        coverage=single,
        attempted=attempts,
        correct=correct,
        faithful=right,
        trained=np.arange(problems) < problems // 2,
        own=1 / 3,
        shown={state: {"pass@1": 0.5, "response tokens": 40.0} for state in coverage},
    )
