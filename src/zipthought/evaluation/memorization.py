"""Counterfactual memorization: does the old answer come back when one constant of a known problem is changed?

A model that solves follows the change; one that recalls answers what it was trained on. By chance, or since the edit
leaves most of the work the same, the old answer also comes back for problems that were never trained on: the rate on
those is the control.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.arithmetic import BinOp
from ..core.problem import Problem
from ..records.reading import problem_of
from ..records.schema import make_record
from ..surfaces import verify
from .config import DecodingConfig
from .evaluate import evaluate_records


def edit_constant(problem: Problem, number_range: int, seed: int) -> Problem | None:
    """The problem with one constant of its operations changed, names and sentences as they were, so that its answer
    is another one; None where no such change exists. Which constant and to what follows from `seed`."""
    choices = [
        (name, constant)
        for name in problem.operations
        if isinstance(definition := problem.definitions[name], BinOp) and isinstance(definition.right, int)
        for constant in range(1 + (definition.op == "*"), number_range)
        if constant != definition.right
    ]
    for place in np.random.default_rng(seed).permutation(len(choices)):
        name, constant = choices[place]
        definition = problem.definitions[name]
        assert isinstance(definition, BinOp)
        edited = {**problem.definitions, name: BinOp(definition.op, definition.left, constant)}
        changed = Problem(problem.modulus, edited, problem.target)
        if changed.answer != problem.answer:
            return changed
    return None


def old_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    number_range: int,
    decoding: DecodingConfig | None = None,
) -> list[dict[str, bool]]:
    """For each record whose problem can be edited: whether the model's answer to the edited problem is the `old` one,
    and whether it is `right`."""
    before, asked = [], []
    for place, record in enumerate(records):
        problem = problem_of(record)
        edited = edit_constant(problem, number_range, place)
        if edited:
            before.append(problem)
            asked.append(make_record(edited, "answer-only", surface=record["surface"]))
    rows = evaluate_records(model, tokenizer, asked, decoding).rows
    rows.sort(key=lambda row: row["index"])
    return [
        {"old": verify(row["completion"], problem, row["surface"]).answer == "correct", "right": row["correct"]}
        for row, problem in zip(rows, before, strict=True)
    ]
