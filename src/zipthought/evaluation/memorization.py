"""Counterfactual memorization: does a model repeat the old answer after one constant of a known problem changed?

A model that solves the problem follows the change. A model that recalls repeats the trained answer. The old answer also
returns for problems outside the training data, by chance or because the edit leaves most of the work unchanged. So the
rate on such problems is the control.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.arithmetic import BinOp
from ..core.problem import Problem
from ..models.backends import Backend
from ..surfaces import verify
from .config import DecodingConfig
from .evaluate import evaluate_items
from .metrics import EditedAnswer, Item


def edit_constant(problem: Problem, number_range: int, seed: int) -> Problem | None:
    """The problem with one constant of its operations replaced, so that the answer changes.

    Names and the order of sentences stay. `seed` decides which constant changes, and to which value. Returns None if no
    such edit exists.
    """
    choices = [
        (name, constant)
        for name in problem.operations
        if isinstance(definition := problem.definitions[name], BinOp) and isinstance(definition.right, int)
        for constant in range(1 + (definition.op == "*"), number_range)
        if constant != definition.right
    ]
    for choice in np.random.default_rng(seed).permutation(len(choices)):
        name, constant = choices[choice]
        definition = problem.definitions[name]
        assert isinstance(definition, BinOp)
        definitions = {**problem.definitions, name: BinOp(definition.op, definition.left, constant)}
        edited = Problem(problem.modulus, definitions, problem.target)
        if edited.answer != problem.answer:
            return edited
    return None


def edited_answers(
    model: PreTrainedModel | Backend,
    tokenizer: PreTrainedTokenizerBase,
    problems: Iterable[Problem],
    surface: str,
    number_range: int,
    decoding: DecodingConfig | None = None,
) -> list[EditedAnswer]:
    """Evaluate the model on an edit of each problem, written in `surface`. Problems without an edit are dropped."""
    originals: list[Problem] = []
    edits: list[Item] = []
    for seed, problem in enumerate(problems):
        edited = edit_constant(problem, number_range, seed)
        if edited:
            edits.append(Item.of(edited, surface, len(originals)))
            originals.append(problem)
    judged = sorted(evaluate_items(model, tokenizer, edits, decoding).completions, key=lambda c: c.index)
    return [
        EditedAnswer(old=verify(c.completion, problem, c.surface).answer == "correct", right=c.correct)
        for c, problem in zip(judged, originals, strict=True)
    ]


__all__ = ["EditedAnswer", "edit_constant", "edited_answers"]
