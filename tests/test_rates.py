"""The learning rate of a run whose user gives none."""

import json

import pytest

from zipthought.cli import main
from zipthought.train.config import OptimizerConfig, RLVRConfig, SFTConfig, TRLConfig
from zipthought.train.rates import note_on_rate, with_rate


def trl(kind, rank=8, **optimizer):
    return kind(engine="trl", trl=TRLConfig(lora_rank=rank), optimizer=OptimizerConfig(**optimizer))


@pytest.mark.parametrize(
    ("kind", "parameters", "rate"),
    [
        (SFTConfig, 600_000, 1e-3),
        (SFTConfig, 99_999_999, 1e-3),
        (SFTConfig, 134_515_008, 3e-4),
        (SFTConfig, 999_999_999, 3e-4),
        (SFTConfig, 3_085_938_688, 2e-5),
        (RLVRConfig, 600_000, 2e-4),
        (RLVRConfig, 134_515_008, 1e-6),
        (RLVRConfig, 3_085_938_688, 1e-6),
    ],
)
def test_a_rate_suits_the_size_and_adapters_get_ten_times_as_much(kind, parameters, rate):
    assert with_rate(kind(), parameters).optimizer.peak == rate
    assert with_rate(trl(kind, rank=0), parameters).optimizer.peak == rate
    assert with_rate(trl(kind), parameters).optimizer.peak == pytest.approx(10 * rate, rel=1e-12)
    assert note_on_rate(with_rate(trl(kind), parameters), parameters) is None, "a chosen rate needs no warning"


@pytest.mark.parametrize("config", [SFTConfig, RLVRConfig])
def test_a_rate_that_is_given_stays_with_all_other_settings(config):
    given = trl(config, learning_rate=7e-7, weight_decay=0.3)
    assert with_rate(given, 3_000_000_000) is given
    chosen = with_rate(config(), 3_000_000_000)
    assert chosen.optimizer.warmup_ratio == config().optimizer.warmup_ratio


@pytest.mark.parametrize(
    ("config", "parameters", "note"),
    [
        (SFTConfig(), 3_085_938_688, "learning rate 2e-5, chosen for 3.09B parameters"),
        (SFTConfig(), 612_352, None),
        (trl(SFTConfig), 612_352, "learning rate 0.01, chosen for 0.612M parameters with LoRA"),
        (trl(SFTConfig), 134_515_008, "learning rate 0.003, chosen for 135M parameters with LoRA"),
        (trl(RLVRConfig), 134_515_008, "learning rate 1e-5, chosen for 135M parameters with LoRA"),
        (trl(RLVRConfig, learning_rate=1e-6), 134_515_008, "learning rate 1e-6 is low for LoRA, "),
        (trl(RLVRConfig, learning_rate=1e-5), 134_515_008, None),
        (trl(RLVRConfig, rank=0, learning_rate=1e-6), 134_515_008, None),
    ],
)
def test_the_user_reads_which_rate_was_chosen_or_is_too_low(config, parameters, note):
    found = note_on_rate(config, parameters)
    assert found == note if note is None else found.startswith(note)


def test_a_loop_without_a_rate_is_refused():
    with pytest.raises(ValueError, match="learning_rate is missing"):
        _ = OptimizerConfig().peak


def test_the_record_has_the_rate_and_a_resume_finds_the_same(tiny_base, tmp_path, capsys, monkeypatch):
    words = "generate --n-ops 1 --count 8 --format explicit --surface terse --output-dir"
    assert main([*words.split(), str(tmp_path)]) == 0
    sft = ["train", "sft", "--model", str(tiny_base), "--data", str(tmp_path / "explicit.jsonl"), "--steps", "2"]
    monkeypatch.setattr("zipthought.train.rates.LARGE", 1000)
    assert main([*sft, "--output-dir", str(tmp_path / "large")]) == 0
    assert "learning rate 2e-5, chosen for" in capsys.readouterr().err
    large = json.loads((tmp_path / "large" / "run.json").read_text())
    assert large["config"]["optimizer"]["learning_rate"] == 2e-5
    assert main([*sft, "--output-dir", str(tmp_path / "large"), "--resume"]) == 0
    monkeypatch.undo()
    assert main([*sft, "--output-dir", str(tmp_path / "out")]) == 0
    assert "learning rate" not in capsys.readouterr().err
    sft += ["--output-dir", str(tmp_path / "out")]
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["config"]["optimizer"]["learning_rate"] == 1e-3
    assert main([*sft, "--resume"]) == 0
    assert main([*sft, "--resume", "--learning-rate", "1e-3"]) == 0
    assert main([*sft, "--resume", "--learning-rate", "2e-3"]) == 2
    assert "learning_rate was 0.001 and is 0.002" in capsys.readouterr().err
