"""The preset `paper` against the paper's settings (arXiv 2605.28008, appendix)."""

from zipthought.study.spec import load_spec
from zipthought.train.config import RLVRConfig, SFTConfig

TASK = {"modulus": 23, "number_range": 5}
SFT = {"min_learning_rate_ratio": 0.15, "batch_size": 48, "n_ops": (10, 11, 12)}  # 2e-5 to 3e-6.
OPTIMIZER = {"warmup_ratio": 0.05, "weight_decay": 0.1, "gradient_clip": 1.0}
RLVR = {
    "sft_learning_rate": 2e-5,
    "sft_min_learning_rate_ratio": 0.15,
    "sft_batch_size": 48,
    "n_ops": (10, 11, 12),
    "group_size": 8,
    "prompts_per_step": 256,
    "rl_learning_rate": 1e-6,
    "kl": 0.001,
    "rl_steps": 150,
}


def test_the_preset_has_the_settings_of_the_paper():
    spec = load_spec("paper")
    assert spec.model == "Qwen/Qwen2.5-3B"
    assert {name: getattr(spec, name) for name in TASK} == TASK
    for name in ("scaling", "repetition", "orders"):
        experiment = spec.experiments[name]
        assert {setting: getattr(experiment, setting) for setting in SFT} == SFT
        assert experiment.learning_rates == (2e-5,)
    assert max(spec.experiments["scaling"].examples) == 3 * 40_000
    assert spec.experiments["scaling"].epochs == 1
    assert {name: getattr(spec.experiments["decomposition"], name) for name in RLVR} == RLVR
    # These are no settings of studies. Their defaults are the paper's.
    assert {name: getattr(SFTConfig().optimizer, name) for name in OPTIMIZER} == OPTIMIZER
    assert SFTConfig().max_length == 2048
    assert RLVRConfig().temperature == 1.0
    cells = spec.cells()
    assert {c.min_learning_rate_ratio for c in cells if c.NAME == "sft"} == {0.15}
    assert {c.settings.sft_min_learning_rate_ratio for c in cells if c.NAME == "decomposition"} == {0.15}
