"""What generates for the cells of a study: the table `[execution]` chooses, and greedy measurements are the same."""

import pytest

from zipthought.models.backends import Transformers
from zipthought.study.execution import CellExecution
from zipthought.study.spec import make_spec
from zipthought.study.workspace import Workspace

COUNTS = {"test_count": 3, "train_count": 2, "validation_count": 2}
SFT = {"formats": ["composed:2"], "examples": [8], "n_ops": [2], "steps": 2, "batch_size": 4}
SCALING = {**SFT, **COUNTS, "points": 2, "converge": True, "learning_rates": [1e-2]}
REPETITION = {"examples": 8, "epochs": [1], "n_ops": [2], "batch_size": 4, "test_count": 3, "edited_count": 2}
F3 = {
    "sft_steps": [2], "examples": 8, "sft_batch_size": 4, "n_ops": [2], "longer_n_ops": [3], "samples": 2,
    "rl_steps": 2, "prompts_per_step": 2, "group_size": 2, "measure_every": 1, "count": 3, "sampled": 1,
    "branches": ["base", "rlvr", "sft-updates", "sft-tokens", "rejection"],
}  # fmt: skip


def spec_of(base, generation="native", **tables):
    settings = {"name": "s", "model": str(base), "bootstrap": 10, "execution": {"generation": generation}}
    return make_spec({**settings, **tables})


@pytest.fixture
def calls(monkeypatch):
    """The numbers of prompts that the backend `transformers` was asked for."""
    made, generate = [], Transformers.generate

    def counted(self, prompts, request, **rest):
        made.append(len(prompts) * request.samples)
        return generate(self, prompts, request, **rest)

    monkeypatch.setattr(Transformers, "generate", counted)
    return made


@pytest.mark.long
def test_greedy_measurements_are_those_of_the_native_decoder(tiny_base, tmp_path, calls):
    results, digests = {}, {}
    for generation in ("native", "transformers"):
        workspace = Workspace(tmp_path / generation, execution=CellExecution(generation=generation))
        cells = spec_of(tiny_base, generation, scaling=SCALING, repetition=REPETITION).cells()
        results[generation] = [cell.run(workspace) for cell in (*cells[:2], cells[-1])]
        assert bool(calls) == (generation == "transformers")
        digests[generation] = [cell.digest for cell in cells]
    assert digests["native"] == digests["transformers"]
    plain = [
        [{**result.plain(), "train_seconds": 0.0} for result in results[generation]]
        for generation in ("native", "transformers")
    ]
    assert plain[0] == plain[1]


@pytest.mark.long
def test_rollouts_and_samples_come_from_the_backend(tiny_base, tmp_path, calls):
    workspace = Workspace(tmp_path, execution=CellExecution(generation="transformers"))
    numbers = {}
    for cell in spec_of(tiny_base, "transformers", decomposition=F3).cells():
        calls.clear()
        workspace.results[cell.digest] = cell.run(workspace)
        numbers[cell.part] = list(calls)
    measured = [3, 3]  # Two lengths.
    passed = [2, 2]
    assert numbers["base"] == [*measured, *passed]
    assert numbers["rlvr"] == [4, 4, *measured, 4, *measured, *passed][1:]
    assert numbers["rejection"][0] == 4


def test_the_log_probabilities_of_vllm_are_refused_for_native_rlvr(tiny_base):
    with pytest.raises(ValueError, match="RLVR of the engine native does not correct"):
        spec_of(tiny_base, "vllm", decomposition=F3)
    assert spec_of(tiny_base, "vllm", scaling=SCALING).execution.generation == "vllm"
    with pytest.raises(ValueError, match="adapters with vllm, are measured at their end alone: set measure_every to 2"):
        spec_of(tiny_base, "vllm", engine="trl", lora_rank=4, decomposition=F3)
