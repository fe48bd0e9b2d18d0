"""Counterfactual edits, added sentences and spread positions."""

import numpy as np
import pytest
import torch

import zipthought as zt
from zipthought.core.arithmetic import BinOp
from zipthought.evaluation.evaluate import Evaluation
from zipthought.evaluation.memorization import edit_constant, edited_answers
from zipthought.evaluation.metrics import judge_completion
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.schema import make_record
from zipthought.study.problems import with_more_sentences
from zipthought.train.batches import EpochBatches, spread_positions
from zipthought.train.config import SFTConfig
from zipthought.train.loop import batch_loss
from zipthought.train.sft import encode, fine_tune, sentence_ends


@pytest.mark.parametrize("seed", range(20))
def test_an_edit_changes_one_constant_and_the_answer(seed):
    problem = zt.sample(n_ops=3, seed=seed)
    edited = edit_constant(problem, 5, seed)
    assert edited.answer != problem.answer
    assert list(edited.definitions) == list(problem.definitions)
    changed = [name for name in problem.definitions if problem.definitions[name] != edited.definitions[name]]
    assert len(changed) == 1
    before, after = problem.definitions[changed[0]], edited.definitions[changed[0]]
    assert isinstance(before, BinOp)
    assert (before.op, before.left) == (after.op, after.left)
    assert edit_constant(problem, 5, seed) == edited


def test_an_edit_that_cannot_change_the_answer_is_none():
    problem = zt.sample(n_ops=1, seed=0)
    name = problem.operations[0]
    definition = problem.definitions[name]
    single = {**problem.definitions, name: BinOp("+", definition.left, 1)}
    assert edit_constant(type(problem)(problem.modulus, single, problem.target), 2, 0) is None


def test_a_model_that_recalls_brings_back_the_old_answers(monkeypatch):
    from zipthought.evaluation import memorization

    problems = [zt.sample(n_ops=2, seed=0, index=i) for i in range(6)]
    seen = []

    def answers(model, tokenizer, items, decoding):
        """The old answer to the first four items and the new one to the others, in reverse order."""
        seen.extend(items)
        texts = [f"answer {(problems[i] if i < 4 else item.problem).answer} ." for i, item in enumerate(items)]
        judged = [
            judge_completion(item, text, response_tokens=3, truncated=False)
            for item, text in zip(items, texts, strict=True)
        ]
        return Evaluation(judged[::-1])

    monkeypatch.setattr(memorization, "evaluate_items", answers)
    found = edited_answers(None, None, problems, "terse", 5)
    assert [answer.old for answer in found] == [True] * 4 + [False] * 2
    assert [answer.right for answer in found] == [False] * 4 + [True] * 2
    assert all(item.prompt != zt.render_problem(p, "terse") for item, p in zip(seen, problems, strict=True))


def test_more_sentences_leave_the_structure_as_it_is():
    rng = np.random.default_rng(0)
    counts = set()
    for index in range(30):
        problem = zt.sample(n_ops=3, seed=1, index=index)
        more = with_more_sentences(problem, 14, 5, rng)
        assert (more.structure, more.answer, more.order) == (problem.structure, problem.answer, problem.order)
        assert len(problem.definitions) <= len(more.definitions) <= 14
        kept = [name for name in more.definitions if name in problem.definitions]
        assert kept == list(problem.definitions)
        counts.add(len(more.definitions))
    assert len(counts) > 5


def test_spread_positions_grow_within_the_limit_and_keep_sentences_together():
    rng = np.random.default_rng(0)
    stop, seen = 9, []
    ids = [1, 2, stop, 3, 4, stop, 5, stop, 6]
    for _ in range(200):
        positions = spread_positions(ids, frozenset([stop]), 100, rng)
        steps = np.diff(positions)
        assert (steps >= 1).all()
        assert positions[-1] < 100
        assert (steps[[0, 1, 3, 4, 6]] == 1).all(), "a gap within a sentence"
        seen.append(positions[-1])
    assert max(seen) > 90
    assert min(seen) < 20
    assert spread_positions(ids, frozenset([stop]), 5, rng).tolist() == list(range(9))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_positions_reach_the_model_and_are_a_function_of_the_step(family):
    tokenizer = build_tokenizer()
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    model = build_tiny(tiny_config(family, "0.2M", len(tokenizer), *special), 0)
    records = [make_record(zt.sample(n_ops=2, seed=0, index=i), "explicit", surface="terse") for i in range(8)]
    examples = [encode(tokenizer, record) for record in records]
    ends = sentence_ends(tokenizer)
    plain = EpochBatches(examples, 8, 0, tokenizer.pad_token_id)
    spread = EpochBatches(examples, 8, 0, tokenizer.pad_token_id, 200, ends)
    assert torch.equal(spread(3).positions, spread(3).positions)
    assert not torch.equal(spread(3).positions, spread(4).positions)
    assert plain(0).positions is None
    with torch.no_grad():
        assert batch_loss(model, spread(0)) != batch_loss(model, plain(0))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    losses = []
    for micro_batch in (0, 3):  # Positions are split into parts like tokens.
        model.load_state_dict(state)
        config = SFTConfig(steps=1, batch_size=8, micro_batch=micro_batch, positions=200)
        losses.append(fine_tune(model, tokenizer, records, config).loop.final_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    with pytest.raises(ValueError, match="native"):
        SFTConfig(positions=10, engine="trl")
