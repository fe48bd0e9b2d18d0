"""What a training run is told. No torch here: the command line reads these classes to build its help."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

ENGINES = ("native", "trl")
ADVANTAGES = ("grpo", "dr-grpo")
LOSSES = ("token", "sequence", "constant")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay (Loshchilov & Hutter 2019)."""

    learning_rate: float = 1e-3
    """The peak."""
    min_learning_rate_ratio: float = 0.1
    """The last step's learning rate over the peak."""
    warmup_ratio: float = 0.05
    """Share of the steps over which the learning rate rises from 0."""
    weight_decay: float = 0.1
    """On matrices only."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's momentum terms."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 turns clipping off."""
    optimizer: str = "adamw"
    """`adamw`, or `muon` (Jordan et al. 2024) on the hidden matrices with AdamW on the rest."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio must be in 0..1, got {self.warmup_ratio}")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; use adamw or muon")

    def factor(self, step: int, steps: int) -> float:
        """The learning rate of `step` (from 0) of `steps`, over the peak."""
        warmup = max(1, round(self.warmup_ratio * steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - 1 - warmup)
        floor = self.min_learning_rate_ratio
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _check_engine(engine: str, optimizer: OptimizerConfig) -> None:
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; use {', '.join(ENGINES)}")
    if engine == "trl" and optimizer.optimizer != "adamw":
        raise ValueError("the engine trl has the optimizer adamw only")


@dataclass(frozen=True, slots=True, kw_only=True)
class TRLConfig:
    """What only the engine `trl` is told; FSDP and DeepSpeed are chosen by ``accelerate launch``."""

    lora_rank: int = 0
    """Rank of the LoRA adapters on all linear layers (Hu et al. 2021), merged at the end; 0 trains all weights."""
    lora_alpha: int = 32
    """Scale of the adapters, over their rank."""
    gradient_checkpointing: bool = False
    """Trade a third more computation for the memory of activations."""
    vllm: str = ""
    """Where rollouts are made by vLLM: `colocate` on the training GPUs, or `server`; empty: by transformers."""
    vllm_memory: float = 0.3
    """Share of a GPU's memory that a colocated vLLM takes."""
    report_to: tuple[str, ...] = ()
    """`wandb`, `trackio`, `tensorboard`; nothing is sent anywhere unasked."""

    def __post_init__(self) -> None:
        if self.vllm not in ("", "colocate", "server"):
            raise ValueError(f"unknown vllm mode {self.vllm!r}; use colocate or server")
        if self.lora_rank < 0 or not 0 < self.vllm_memory < 1:
            raise ValueError(
                f"lora_rank must be at least 0 and vllm_memory in 0..1, got {self.lora_rank} and {self.vllm_memory}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTConfig:
    """How to fine-tune. The defaults suit the bundled base."""

    epochs: float = 1.0
    """Passes over the examples; ignored where `steps` is given."""
    steps: int = 0
    """Updates; 0 means that `epochs` says it."""
    batch_size: int = 64
    """Sequences an update."""
    micro_batch: int = 0
    """Sequences in one forward and backward pass (of each device); fewer need less memory. 0: all of the update's."""
    max_length: int = 2048
    """Longer examples (prompt and completion, in tokens) are left out, and counted."""
    positions: int = 0
    """Spread each text over up to this many positions by random gaps between its sentences, so that texts longer than
    those of training meet no new distance; 0: positions as they come. Of the engine `native` alone."""
    seed: int = 0
    """Order of the data."""
    checkpoint_every: int = 200
    """Updates between checkpoints; 0 means none."""
    engine: str = "native"
    """Which trainer runs it: `native`, ours, for one device; `trl`, TRL's, for any number (needs zipthought[trl])."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimizer and schedule."""
    trl: TRLConfig = field(default_factory=TRLConfig)
    """For the engine `trl`."""

    def __post_init__(self) -> None:
        _check_engine(self.engine, self.optimizer)
        if self.micro_batch < 0 or self.positions < 0:
            raise ValueError(
                f"micro_batch and positions must be at least 0, got {self.micro_batch} and {self.positions}"
            )
        if self.positions and self.engine != "native":
            raise ValueError("positions are spread by the engine native only")
        if self.batch_size < 1 or self.steps < 0 or self.epochs <= 0:
            raise ValueError(
                f"batch_size must be at least 1, steps at least 0 and epochs above 0, got {self.batch_size}, "
                f"{self.steps} and {self.epochs}"
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Updates in all."""
        return self.steps or max(1, round(self.epochs * steps_per_epoch))


@dataclass(frozen=True, slots=True, kw_only=True)
class RLVRConfig:
    """How to train on verifiable rewards by GRPO (Shao et al. 2024). The defaults suit the bundled base."""

    n_ops: tuple[int, ...] = (4, 5, 6)
    """Operations of the problems, in equal shares; of no matter with a file of problems."""
    split: str = "train"
    """Of the problems; only `train`, or nothing measured afterwards is held out."""
    surface: str = "auto"
    """`english`, `terse`, or `auto`: `terse` for a tokenizer without the words of `english`."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    steps: int = 200
    """Batches of rollouts."""
    prompts_per_step: int = 32
    """Problems of a step, each one a group."""
    group_size: int = 8
    """Completions of a problem."""
    temperature: float = 1.0
    """Of the rollouts; the loss is that of the same distribution."""
    max_new_tokens: int | None = None
    """None: 1.25 x the longest explicit gold completion of the first step's problems, in tokens, + 16, as in
    evaluation; with a file of problems, of the longest completion there."""
    reward: str = "outcome"
    """`outcome`, `faithful`, `outcome+length:0.001` (that cost a token), or ``package.module:name``."""
    advantage: str = "grpo"
    """`grpo`: reward less the group's mean, over its standard deviation (of n-1) + 1e-4 (Shao et al. 2024);
    `dr-grpo`: without the division, which favours problems that are nearly all right or wrong (Liu et al. 2025)."""
    loss: str = "token"
    """How tokens are averaged. `token`: all of the step alike (Yu et al. 2025, DAPO); `sequence`: within each
    completion first (Shao et al. 2024); `constant`: a completion's sum over max_new_tokens (Liu et al. 2025)."""
    clip: float = 0.2
    """The probability ratio is clipped at 1 - clip from below (Schulman et al. 2017)."""
    clip_high: float | None = None
    """And at 1 + clip_high from above (Yu et al. 2025); None: the same as `clip`."""
    kl: float = 0.0
    """Weight of the KL divergence from the model at the start, by the estimator k3 (Schulman 2020)."""
    kl_every: int = 10
    """Steps between measurements of that divergence where it is no part of the loss; 0: never."""
    passes: int = 1
    """Updates on each batch of rollouts."""
    micro_batch: int = 64
    """Completions in one forward and backward pass; smaller needs less memory and changes nothing else."""
    seed: int = 0
    """Of the problems and the rollouts."""
    checkpoint_every: int = 25
    """Steps between checkpoints; 0 means none."""
    engine: str = "native"
    """Which trainer runs it: `native`, ours, for one device; `trl`, TRL's, for any number (needs zipthought[trl])."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-4, min_learning_rate_ratio=1.0, warmup_ratio=0.02, weight_decay=0.0
        )
    )
    """Optimizer and schedule; a constant learning rate after the warm-up."""
    trl: TRLConfig = field(default_factory=TRLConfig)
    """For the engine `trl`."""

    def __post_init__(self) -> None:
        _check_engine(self.engine, self.optimizer)
        for setting, choices in (("advantage", ADVANTAGES), ("loss", LOSSES)):
            if getattr(self, setting) not in choices:
                raise ValueError(f"unknown {setting} {getattr(self, setting)!r}; use {', '.join(choices)}")
        if self.split != "train":
            raise ValueError(f"split must be train, so that the other splits stay held out, got {self.split!r}")
        if not self.n_ops or min(self.n_ops) < 1:
            raise ValueError(f"n_ops must be one or more numbers of at least 1, got {self.n_ops}")
        for setting, least in (("steps", 1), ("prompts_per_step", 1), ("group_size", 2), ("passes", 1)):
            if getattr(self, setting) < least:
                raise ValueError(f"{setting} must be at least {least}, got {getattr(self, setting)}")
        if self.micro_batch < 1 or (self.max_new_tokens is not None and self.max_new_tokens < 1):
            raise ValueError(
                f"micro_batch and max_new_tokens must be at least 1, got {self.micro_batch} and {self.max_new_tokens}"
            )
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, or all of a group are alike; got {self.temperature}")
        if not 0 < self.clip < 1 or (self.clip_high is not None and self.clip_high <= 0) or self.kl < 0:
            raise ValueError(
                f"clip must be in 0..1, clip_high above 0 and kl at least 0, got {self.clip}, {self.clip_high} and "
                f"{self.kl}"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """The recipe; its defaults are those of the bundled base's first run (``make base`` has all three)."""

    init: str = ""
    """A model to go on from (a directory); empty for fresh weights. Then `family` and `size` are that model's."""
    grow: int = 0
    """Layers added on top of the model of `init`, which change nothing at first (their outputs are zero)."""
    family: str = "llama"
    """`llama` or `gpt2`."""
    size: str = "0.6M"
    """`0.2M`, `0.6M` or `2M`."""
    steps: int = 6000
    """Updates."""
    batch_size: int = 32
    """Sequences an update."""
    n_ops: tuple[tuple[int, float], ...] = ((1, 0.1), (2, 0.15), (3, 0.3), (4, 0.45))
    """(operations of a chain, its probability), as in `--n-ops 1 0.5 2 0.5`."""
    facts: float = 0.04
    """Share of the sequences that are single facts, `3 * 4` -> `3 * 4 = 12 .`, over all residues."""
    fact_ops: tuple[tuple[int, float], ...] = ((1, 1.0),)
    """(operations of a single fact, its probability); with two, `( 3 + 4 ) * 2` -> `( 3 + 4 ) * 2 = 14 .`, the base
    can do small sums in one go, as large models can, and SFT on composed steps need not teach the arithmetic."""
    lookups: float = 0.1
    """Share of the sequences that ask for a quantity that the prompt gives."""
    walks: float = 0.4
    """Share of the sequences that tell several chains at once, from any residues, and name the start of one, to be
    followed to its end. A chain that is asked for by its target can be solved by walking back from there in the layers;
    a walk cannot, so it teaches the look-up that a trace needs at every step, whatever its length (docs/LOG.md)."""
    starts: float = 0.0
    """Share of the sequences that are chain problems answered by their first step alone, without an end: which of the
    given quantities the chain starts from is the hardest decision of a trace, and one token in forty of its loss."""
    granularity: tuple[tuple[int, float], ...] = ((1, 1.0),)
    """(operations of a group, its probability); `1 1.0` is explicit only."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    seed: int = 0
    """Weights and data."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(optimizer="muon", learning_rate=7e-3, min_learning_rate_ratio=0.02)
    )
    """Optimizer and schedule."""

    def __post_init__(self) -> None:
        mixes = (("granularity", self.granularity), ("n_ops", self.n_ops), ("fact_ops", self.fact_ops))
        for setting, mix in mixes:
            if not mix or abs(sum(p for _, p in mix) - 1) > 1e-9 or min(k for k, _ in mix) < 1 or min(mix)[1] < 0:
                raise ValueError(f"{setting} needs pairs of a number >= 1 and its probability, sum 1; got {mix}")
        shares = (self.facts, self.lookups, self.walks, self.starts)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"facts, lookups, walks and starts must be at least 0, their sum at most 1; got {shares}")
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}")
        if self.grow < 0 or (self.grow and not self.init):
            raise ValueError(f"grow must be at least 0, and adds to the model of init; got {self.grow}")

    @property
    def chains(self) -> float:
        """Share of the sequences that are chain problems with whole traces: the rest."""
        return max(0.0, 1 - self.facts - self.lookups - self.walks - self.starts)
