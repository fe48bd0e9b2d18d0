"""How training runs, apart from what it computes: passes of tokens, out of memory, checkpointing, refused options."""

from dataclasses import asdict, replace

import pytest
import torch

from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.schema import make_record
from zipthought.study.cells.decomposition_run import _rlvr_config, _sft_config
from zipthought.study.spec import load_spec
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.train.config import LARGE, Execution, OptimizerConfig, RLVRConfig, SFTConfig
from zipthought.train.fitting import Fitting
from zipthought.train.grpo import grpo
from zipthought.train.prompts import SampledPrompts
from zipthought.train.sft import fine_tune
from zipthought.train.trl_config import OF_RLVR, OF_SFT, TRLConfig

SFT = SFTConfig(steps=3, batch_size=8, checkpoint_every=1)
RLVR = RLVRConfig(
    n_ops=(1, 2), prompts_per_step=4, group_size=4, steps=2, max_new_tokens=6, kl_every=0,
    reward="test_grpo:even_tokens", optimizer=OptimizerConfig(learning_rate=1e-3),
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def tiny(tokenizer):
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return build_tiny(tiny_config("llama", "0.2M", len(tokenizer), *special), seed=1)


def records(count=16):
    batch = sample_batch(SamplerConfig(n_ops=2), "train", range(count))
    return [make_record(batch.problem(i), "explicit", surface="terse", index=i) for i in range(count)]


def trained(tokenizer, config, limit=0):
    """The weights after a run, and the most sequences x tokens of a training pass. A larger pass than `limit` runs out
    of memory."""
    model, passes = tiny(tokenizer), []
    decoder = model.get_decoder()

    def watch(module, arguments, given):
        if torch.is_grad_enabled():
            ids = given["input_ids"]
            if limit and ids.numel() > limit:
                raise torch.OutOfMemoryError("out of memory")
            passes.append(ids.numel())

    decoder.register_forward_pre_hook(watch, with_kwargs=True)
    if isinstance(config, SFTConfig):
        fine_tune(model, tokenizer, records(), config)
    else:
        grpo(model, tokenizer, SampledPrompts(config, tokenizer, set()), config)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), max(passes)


@pytest.mark.parametrize("config", [SFT, RLVR], ids=["SFT", "RLVR"])
def test_passes_of_few_tokens_give_the_same_update(tokenizer, config):
    whole, most = trained(tokenizer, config)
    limited = replace(config, execution=Execution(micro_tokens=100))
    parts, few = trained(tokenizer, limited)
    assert few <= 100 < most
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=5e-5)


@pytest.mark.parametrize("config", [SFT, RLVR], ids=["SFT", "RLVR"])
def test_an_update_that_runs_out_of_memory_is_repeated_in_smaller_passes(tokenizer, config):
    whole, most = trained(tokenizer, config)
    with pytest.warns(UserWarning, match=r"ran out of memory; the update is repeated in passes of \d"):
        parts, few = trained(tokenizer, config, limit=most // 3)
    assert few <= most // 3
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=5e-5)


@pytest.mark.filterwarnings("ignore:a pass of")
def test_a_sequence_that_does_not_fit_is_an_error_with_a_remedy(tokenizer):
    with pytest.raises(ValueError, match=r"one sequence of \d+ tokens does not fit .*--gradient-checkpointing on"):
        trained(tokenizer, SFT, limit=10)


@pytest.mark.filterwarnings("ignore:a pass of")
def test_a_smaller_pass_stays_for_later_updates():
    fitting, tried = Fitting(build_tiny(tiny_config("llama", "0.2M", 10, 0, 1, 2), 0), Execution()), []

    def attempt(size):
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError
        return size

    assert [fitting.run(attempt, 16, 10) for _ in range(2)] == [2, 2]
    assert tried == [16, 8, 4, 2, 2]


def test_gradient_checkpointing_changes_no_update(tokenizer):
    whole, _ = trained(tokenizer, SFT)
    again, _ = trained(tokenizer, replace(SFT, execution=Execution(gradient_checkpointing="on")))
    torch.testing.assert_close(again, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("choice", "parameters", "on_gpu", "on"),
    [
        ("auto", LARGE, True, True),
        ("auto", LARGE, False, False),
        ("auto", LARGE - 1, True, False),
        ("on", 1, False, True),
        ("off", LARGE, True, False),
    ],
)
def test_where_gradient_checkpointing_is_on(choice, parameters, on_gpu, on):
    assert Execution(gradient_checkpointing=choice).checkpoints(parameters, on_gpu) is on


def test_a_run_resumes_with_other_settings_of_execution(tokenizer, tmp_path):
    def run(config, **options):
        model = tiny(tokenizer)
        return fine_tune(model, tokenizer, records(), config, directory=tmp_path, **options)

    def stop(row):
        if row["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(SFT, on_step=stop)
    rows = []
    result = run(replace(SFT, execution=Execution(micro_tokens=100)), resume=True, on_step=rows.append)
    assert [row["step"] for row in rows] == [3]
    assert result.loop.steps == 3
    with pytest.raises(ValueError, match="another configuration"):
        run(replace(SFT, seed=1, execution=Execution()), resume=True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lora_rank", 8),
        ("lora_alpha", 16),
        ("vllm", "colocate"),
        ("vllm_memory", 0.5),
        ("vllm_correction", "off"),
        ("vllm_max_ratio", 2.0),
        ("padding_free", True),
    ],
)
@pytest.mark.parametrize("kind", [SFTConfig, RLVRConfig])
def test_options_of_another_engine_are_refused(kind, option, value):
    trl = TRLConfig(**{option: value})
    with pytest.raises(ValueError, match=f"the engine native has no {option}; leave it out, or use the engine trl"):
        kind(trl=trl)
    assert len(asdict(TRLConfig())) == 7  # A new option needs a row above.
    other = {SFTConfig: OF_RLVR, RLVRConfig: OF_SFT}[kind]
    if option in other:
        with pytest.raises(ValueError, match=f"{option} is an option of {'RLVR' if kind is SFTConfig else 'SFT'}"):
            kind(engine="trl", trl=trl)
        assert kind(engine="trl", trl=trl.without(other)).trl == TRLConfig()
    else:
        assert kind(engine="trl", trl=trl).trl == trl


@pytest.mark.parametrize(
    "settings",
    [{"micro_tokens": -1}, {"gradient_checkpointing": "yes"}],
    ids=["micro_tokens", "gradient_checkpointing"],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Execution(**settings)


def test_native_rlvr_refuses_gradient_checkpointing():
    with pytest.raises(ValueError, match="use the engine trl"):
        RLVRConfig(execution=Execution(gradient_checkpointing="on"))


@pytest.mark.parametrize("config", [SFT, RLVR], ids=["sft", "rlvr"])
def test_a_precision_of_bfloat16_computes_in_it_and_keeps_float32_weights(tokenizer, config):
    exact, _ = trained(tokenizer, config)
    again, _ = trained(tokenizer, replace(config, precision="float32"))
    rough, _ = trained(tokenizer, replace(config, precision="bfloat16"))
    assert torch.equal(exact, again)  # `auto` on a CPU.
    assert rough.dtype == torch.float32
    if isinstance(config, SFTConfig):
        assert 0 < (rough - exact).abs().max() < 0.1
    with pytest.raises(ValueError, match="unknown precision 'half'; use auto, float32, bfloat16"):
        replace(config, precision="half")


def test_the_precision_of_a_study_is_in_its_cells_and_auto_leaves_their_digests():
    spec = load_spec("quick")
    rough = load_spec("quick", {"precision": "bfloat16"})
    assert {cell.precision for cell in rough.cells()} == {"bfloat16"}
    assert not {cell.digest for cell in spec.cells()} & {cell.digest for cell in rough.cells()}
    assert all("precision" not in stored(cell) for cell in spec.cells())
    with pytest.raises(ValueError, match="unknown precision"):
        load_spec("quick", {"precision": "half"})


def stored(cell):
    return {name for name, value in cell.plain().items() if name not in cell.ADDED or value != cell.ADDED[name]}


def test_a_study_chooses_lora_and_vllm_for_the_engine_trl():
    settings = {"vllm": "colocate", "vllm_memory": 0.5, "padding_free": True}
    table = {"engine": "trl", "lora_rank": 8, "execution": settings}
    spec = load_spec("decomposition", table)
    assert {cell.lora_rank for cell in spec.cells()} == {8}
    assert spec.execution.trl(8) == TRLConfig(lora_rank=8, **settings)
    plain = load_spec("decomposition", {"engine": "trl"})
    assert not {c.digest for c in plain.cells()} & {c.digest for c in spec.cells()}
    assert {c.digest for c in load_spec("decomposition", {**table, "execution": {}}).cells()} == {
        c.digest for c in spec.cells()
    }
    for changes in (
        {"lora_rank": 8},
        {"execution": {"vllm": "colocate"}},
        {"execution": {"padding_free": True}},
        {"execution": {"processes": 2}},
    ):
        with pytest.raises(ValueError, match="lora_rank, vllm, padding_free and processes are options"):
            load_spec("decomposition", changes)
    with pytest.raises(ValueError, match="unknown vllm mode 'here'"):
        load_spec("decomposition", {"engine": "trl", "execution": {"vllm": "here"}})


def test_the_cells_of_the_engine_trl_train_with_the_settings_of_the_study():
    settings = {"vllm": "colocate", "padding_free": True}
    spec = load_spec("decomposition", {"engine": "trl", "lora_rank": 8, "execution": settings})
    cell = next(cell for cell in spec.cells() if cell.part == "rlvr")
    assert _rlvr_config(cell, spec.execution).trl == TRLConfig(lora_rank=8, vllm="colocate")
    assert _sft_config(cell, 3, spec.execution).trl == TRLConfig(lora_rank=8, padding_free=True)
