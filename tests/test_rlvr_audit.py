"""What RLVR learns under the faithful reward, audited by the second reader: nothing that is paid is wrong, and no more
is counted as decomposition than was calculated."""

import pytest
from fuzz.second_reader import audit

from zipthought.core.verify import Verdict
from zipthought.evaluation.config import EvaluateConfig
from zipthought.evaluation.evaluate import evaluate
from zipthought.models.loading import load
from zipthought.surfaces import SURFACES, verify
from zipthought.train.config import OptimizerConfig, RLVRConfig
from zipthought.train.grpo import grpo
from zipthought.train.prompts import SampledPrompts


def disagreements(text: str, verdict: Verdict, problem, surface: str) -> list[str]:
    """What the second reader can prove wrong of a verdict."""
    second = audit(text, problem, surface)
    found = []
    if verdict.answer == "correct" and not second.correct:
        found.append(f"answer: {second.answer_faults}")
    if verdict.faithful and second.provable_faults:
        found.append(f"faithful: {second.provable_faults}")
    most = second.single_steps if verdict.faithful else second.single_steps_at_most
    if verdict.granularity.count(1) > most:
        found.append(f"credit: {verdict.granularity}, at most {most} single operations")
    return found


@pytest.mark.long
@pytest.mark.parametrize("reward", ["faithful", "outcome+length:0.002"])
def test_what_a_short_run_is_paid_for_stands_up_to_the_second_reader(reward):
    model, tokenizer = load("bundled-mixed", training=True)
    config = RLVRConfig(
        n_ops=(2, 3),
        reward=reward,
        steps=4,
        prompts_per_step=8,
        group_size=8,
        checkpoint_every=0,
        optimizer=OptimizerConfig(learning_rate=3e-4),
    )
    rows = []
    grpo(model, tokenizer, SampledPrompts(config, tokenizer), config, on_step=rows.append)
    assert any(row["reward"] > 0 for row in rows)
    completions = evaluate(
        model, tokenizer, EvaluateConfig(n_ops=(2, 3, 4), count=25, samples=4, temperature=1.0)
    ).completions
    paid = 0
    for completion in completions:
        problem = SURFACES[completion.surface].parse_problem(completion.prompt, 23)
        verdict = verify(completion.completion, problem, completion.surface)
        assert disagreements(completion.completion, verdict, problem, completion.surface) == []
        paid += verdict.faithful
    assert paid > 20
