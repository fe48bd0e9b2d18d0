"""Settings of training. This module does not import torch: the command line builds its help from these classes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ..models.families import MODEL_FAMILIES
from ..tasks import parse_task
from .optimizers import OPTIMIZERS
from .trl_config import OF_RLVR, OF_SFT, TRLConfig

ENGINES = ("native", "trl")
ADVANTAGES = ("grpo", "dr-grpo")
LOSSES = ("token", "sequence", "constant")
ROLLOUTS_AT_ONCE = 256
"""Completions that the engine native generates at the same time, if a micro-batch is not larger. TRL generates all of a
step at once."""
PRECISIONS = ("auto", "float32", "bfloat16")
LARGE = 100_000_000
"""Parameters from which a model is trained with gradient checkpointing on a GPU."""
PRIMITIVES = ("facts", "forms", "lookups", "starts", "names", "sentences", "syntax")
"""What a neutral base may be pretrained on (`train.primitives`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """An optimizer with linear warm-up and cosine decay (Loshchilov & Hutter 2019)."""

    learning_rate: float | None = None
    """Peak learning rate. None: SFT and RLVR choose one by the size of the model, ten times as high with LoRA
    (`train.rates`)."""
    min_learning_rate_ratio: float = 0.1
    """Learning rate of the last step over the peak."""
    warmup_ratio: float = 0.05
    """Share of the steps in which the learning rate rises from 0 to the peak."""
    weight_decay: float = 0.1
    """Weight decay of matrices; other parameters have none."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Momentum terms of AdamW."""
    gradient_clip: float = 1.0
    """Maximal norm of the gradient; 0 turns clipping off."""
    optimizer: str = "adamw"
    """`adamw`, or `muon` (Jordan et al. 2024) on the hidden matrices with AdamW on the rest."""

    def __post_init__(self) -> None:
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.warmup_ratio < 1 or not 0 <= self.min_learning_rate_ratio <= 1:
            raise ValueError(
                "warmup_ratio must be in 0..1, without 1, and min_learning_rate_ratio in 0..1, got "
                f"{self.warmup_ratio} and {self.min_learning_rate_ratio}"
            )
        OPTIMIZERS.find(self.optimizer)

    @property
    def peak(self) -> float:
        """The peak learning rate. Raises `ValueError` if none is given or chosen."""
        if self.learning_rate is None:
            raise ValueError("learning_rate is missing; give one")
        return self.learning_rate

    def factor(self, step: int, steps: int) -> float:
        """The learning rate of `step` (from 0) of `steps`, as a share of the peak."""
        warmup = max(1, round(self.warmup_ratio * steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - 1 - warmup)
        floor = self.min_learning_rate_ratio
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _check_engine(engine: str, optimizer: OptimizerConfig, trl: TRLConfig) -> None:
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; use {', '.join(ENGINES)}")
    if engine != "trl" and (given := trl.given()):
        raise ValueError(f"the engine {engine} has no {given[0]}; leave it out, or use the engine trl")
    if engine == "trl" and not OPTIMIZERS.find(optimizer.optimizer).single:
        usable = ", ".join(name for name, item in OPTIMIZERS.items() if item.single)
        raise ValueError(f"the engine trl cannot run the optimizer {optimizer.optimizer!r}; use {usable}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How training runs, apart from what it computes: the same updates in less memory. Only the last bits of a result
    depend on it."""

    micro_tokens: int = 0
    """Tokens, padding included, in one forward and backward pass of a device. 0: on a GPU as many as its free memory
    holds, else no limit. A pass that runs out of memory is repeated with half as many."""
    gradient_checkpointing: str = "auto"
    """Recompute activations instead of storing them, `on` or `off`: a third of the memory, a third more computation.
    `auto`: on where a GPU trains 100M parameters or more."""
    attention: str = ""
    """The implementation of attention, such as `sdpa` or `flash_attention_2`. Empty: the choice of transformers."""

    def __post_init__(self) -> None:
        if self.micro_tokens < 0:
            raise ValueError(f"micro_tokens must be at least 0 (the free memory decides), got {self.micro_tokens}")
        if self.gradient_checkpointing not in ("auto", "on", "off"):
            raise ValueError(f"gradient_checkpointing must be auto, on or off, got {self.gradient_checkpointing!r}")

    def checkpoints(self, parameters: int, on_gpu: bool) -> bool:
        """Whether a model of so many parameters is trained with gradient checkpointing."""
        if self.gradient_checkpointing == "auto":
            return on_gpu and parameters >= LARGE
        return self.gradient_checkpointing == "on"


def check_precision(precision: str) -> None:
    """Raise `ValueError` for a precision that is none of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; use {', '.join(PRECISIONS)}")


def results_depend_on(config: SFTConfig | RLVRConfig) -> dict[str, Any]:
    """The settings of a run that its result depends on, as plain values."""
    return {name: value for name, value in asdict(config).items() if name != "execution"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTConfig:
    """Settings of fine-tuning. The defaults suit the bundled base."""

    epochs: float = 1.0
    """Passes over the examples. Ignored if `steps` is given."""
    steps: int = 0
    """Updates; 0 means that `epochs` decides."""
    batch_size: int = 64
    """Sequences in an update."""
    micro_batch: int = 0
    """Sequences in one forward and backward pass of a device. Fewer need less memory. 0: all of the update."""
    max_length: int = 2048
    """Maximal length of an example (prompt and completion, in tokens). Longer ones are left out and counted."""
    redress: bool = False
    """Show each problem with other names, unused quantities and order of the sentences in every epoch after the first.
    Its structure, format and answer stay. For records of synthetic problems, and the engine `native`."""
    positions: int = 0
    """Spread each text over up to this many positions, with random gaps between its sentences. Longer texts then show
    no new distances. 0: consecutive positions. Only the engine `native` supports it."""
    seed: int = 0
    """Seed of the order of the data."""
    checkpoint_every: int = 200
    """Updates between checkpoints; 0 means none."""
    engine: str = "native"
    """Trainer: `native` is ours, for one device; `trl` is TRL's, for any number (needs zipthought[trl])."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimizer and schedule."""
    precision: str = "auto"
    """Of the computation; weights and optimizer state are float32. `auto`: `bfloat16` on a GPU, `float32` on a CPU.
    `bfloat16` takes about half the time on CPUs that have instructions for it (AMX)."""
    execution: Execution = field(default_factory=Execution)
    """How it runs."""
    trl: TRLConfig = field(default_factory=TRLConfig)
    """Settings of the engine `trl`."""

    def __post_init__(self) -> None:
        _check_engine(self.engine, self.optimizer, self.trl)
        check_precision(self.precision)
        if given := self.trl.given(OF_RLVR):
            raise ValueError(f"SFT generates nothing; {given[0]} is an option of RLVR")
        if self.micro_batch < 0 or self.positions < 0:
            raise ValueError(
                f"micro_batch and positions must be at least 0, got {self.micro_batch} and {self.positions}"
            )
        if self.positions and self.engine != "native":
            raise ValueError(f"only the engine native supports positions={self.positions}; use 0, or the engine native")
        if self.redress and self.engine != "native":
            raise ValueError("only the engine native can redress; leave it out, or use the engine native")
        if self.batch_size < 1 or self.steps < 0 or self.epochs <= 0:
            raise ValueError(
                f"batch_size must be at least 1, steps at least 0 and epochs above 0, got {self.batch_size}, "
                f"{self.steps} and {self.epochs}"
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of updates."""
        return self.steps or max(1, round(self.epochs * steps_per_epoch))


@dataclass(frozen=True, slots=True, kw_only=True)
class RLVRConfig:
    """Settings of training on verifiable rewards by GRPO (Shao et al. 2024). The defaults suit the bundled base."""

    task: str = "chain"
    """Task of the problems with its parameters: `chain`, or `tree:width=3,depth=2`. Ignored with a file of problems."""
    n_ops: tuple[int, ...] = (4, 5, 6)
    """Operations of the problems, in equal shares. Ignored with a file of problems."""
    split: str = "train"
    """Split of the problems. Only `train` is allowed, so that the other splits stay held out."""
    surface: str = "auto"
    """`english`, `terse`, or `auto`: `terse` for a tokenizer without the words of `english`."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    steps: int = 200
    """Steps. Each one generates a batch of rollouts."""
    prompts_per_step: int = 32
    """Problems of a step. Each one has a group of completions."""
    group_size: int = 8
    """Completions of a problem."""
    temperature: float = 1.0
    """Temperature of the rollouts. The loss uses the same distribution."""
    max_new_tokens: int | None = None
    """Limit of generated tokens. None: 1.25 times the longest gold completion in tokens, plus 16. Gold completions are
    the explicit ones of the first step's problems, or the completions of a file of problems."""
    reward: str = "outcome"
    """`outcome`, `faithful`, ``package.module:name``, or one that prefers shorter right answers:
    `outcome+length:0.001` (the cost of a token), `cosine:limit=512`, `overlong:limit=512,buffer=128`,
    `group-length:alpha=0.2`, `pass-rate-length:cost=0.001`; with `,of=thinking` before `</think>` alone."""
    advantage: str = "grpo"
    """`grpo`: reward minus the mean of the group, divided by its standard deviation (of n-1) + 1e-4 (Shao et al. 2024).
    `dr-grpo`: without the division, which favours problems with nearly all answers right or wrong (Liu et al. 2025)."""
    loss: str = "token"
    """Average over tokens. `token`: over all tokens of the step (Yu et al. 2025, DAPO). `sequence`: within each
    completion first (Shao et al. 2024). `constant`: each completion's sum over max_new_tokens (Liu et al. 2025)."""
    clip: float = 0.2
    """Lower clip of the probability ratio, at 1 - clip (Schulman et al. 2017)."""
    clip_high: float | None = None
    """Upper clip, at 1 + clip_high (Yu et al. 2025). None: the same as `clip`."""
    kl: float = 0.0
    """Weight of the KL divergence from the initial model, by the estimator k3 (Schulman 2020)."""
    kl_every: int = 10
    """Steps between measurements of that divergence if its weight is 0. 0: never."""
    passes: int = 1
    """Updates on each batch of rollouts."""
    micro_batch: int = 64
    """Completions in one forward and backward pass. Fewer need less memory and change nothing else."""
    seed: int = 0
    """Seed of the problems and the rollouts."""
    checkpoint_every: int = 25
    """Steps between checkpoints; 0 means none."""
    engine: str = "native"
    """Trainer: `native` is ours, for one device; `trl` is TRL's, for any number (needs zipthought[trl])."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(min_learning_rate_ratio=1.0, warmup_ratio=0.02, weight_decay=0.0)
    )
    """Optimizer and schedule: by default a constant learning rate after the warm-up."""
    precision: str = "auto"
    """Of the computation; weights and optimizer state are float32. `auto`: `bfloat16` on a GPU, `float32` on a CPU.
    `bfloat16` takes about half the time on CPUs that have instructions for it (AMX)."""
    execution: Execution = field(default_factory=Execution)
    """How it runs."""
    trl: TRLConfig = field(default_factory=TRLConfig)
    """Settings of the engine `trl`."""

    def __post_init__(self) -> None:
        _check_engine(self.engine, self.optimizer, self.trl)
        check_precision(self.precision)
        for setting, choices in (("advantage", ADVANTAGES), ("loss", LOSSES)):
            if getattr(self, setting) not in choices:
                raise ValueError(f"unknown {setting} {getattr(self, setting)!r}; use {', '.join(choices)}")
        if given := self.trl.given(OF_SFT):
            raise ValueError(f"RLVR pads its completions; {given[0]} is an option of SFT")
        if self.engine == "native" and self.execution.gradient_checkpointing == "on":
            raise ValueError(
                "RLVR of the engine native reads a prompt once for all its completions and cannot recompute it: leave "
                "gradient_checkpointing out, or use the engine trl"
            )
        if self.split != "train":
            raise ValueError(f"split must be train, so that the other splits stay held out, got {self.split!r}")
        if not self.n_ops or min(self.n_ops) < 1:
            raise ValueError(f"n_ops must hold at least one number, each at least 1, got {self.n_ops}")
        parse_task(self.task)
        for setting, least in (("steps", 1), ("prompts_per_step", 1), ("group_size", 2), ("passes", 1)):
            if getattr(self, setting) < least:
                raise ValueError(f"{setting} must be at least {least}, got {getattr(self, setting)}")
        if self.micro_batch < 1 or (self.max_new_tokens is not None and self.max_new_tokens < 1):
            raise ValueError(
                f"micro_batch and max_new_tokens must be at least 1, got {self.micro_batch} and {self.max_new_tokens}"
            )
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, or a group repeats one completion; got {self.temperature}")
        if not 0 < self.clip < 1 or (self.clip_high is not None and self.clip_high <= 0) or self.kl < 0:
            raise ValueError(
                f"clip must be in 0..1, clip_high above 0 and kl at least 0, got {self.clip}, {self.clip_high} and "
                f"{self.kl}"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """The recipe of a base. The defaults are those of the first run of the bundled base; ``make base`` has all runs."""

    init: str = ""
    """Directory of a model to continue from; `family` and `size` are then those of the model. Empty: fresh weights."""
    grow: int = 0
    """Layers added on top of the model of `init`. Their outputs are zero at first, so they change nothing then."""
    family: str = "llama"
    """`llama` or `gpt2`."""
    size: str = "0.6M"
    """`0.2M`, `0.6M` or `2M`."""
    steps: int = 6000
    """Updates."""
    batch_size: int = 32
    """Sequences in an update."""
    n_ops: tuple[tuple[int, float], ...] = ((1, 0.1), (2, 0.15), (3, 0.3), (4, 0.45))
    """(operations of a chain, its probability), as in `--n-ops 1 0.5 2 0.5`."""
    facts: float = 0.04
    """Share of single facts, `3 * 4` -> `3 * 4 = 12 .`, over all residues."""
    fact_ops: tuple[tuple[int, float], ...] = ((1, 1.0),)
    """(operations of a single fact, its probability). With two operations, `( 3 + 4 ) * 2` -> `( 3 + 4 ) * 2 = 14 .`,
    the base learns small sums in one step, as large models know them. SFT on composed steps then need not teach
    them."""
    lookups: float = 0.1
    """Share of sequences whose question is a quantity that the prompt gives."""
    walks: float = 0.4
    """Share of walks. A walk gives several chains, from any residues, names the start of one, and follows it to its
    end. A model can solve a chain with a known target by going back from it within the layers. It cannot do so for a
    walk, so a walk teaches the look-up that every step of a trace needs, whatever its length."""
    starts: float = 0.0
    """Share of chain problems that are answered by their first step alone, without an end of sequence. Which quantity a
    chain starts from is the hardest decision of a trace, but one token in forty of its loss."""
    granularity: tuple[tuple[int, float], ...] = ((1, 1.0),)
    """(operations of a step, its probability); `1 1.0` is explicit only."""
    primitives: tuple[tuple[str, float], ...] = ()
    """(primitive, share), as in `--primitives facts 0.2 names 0.8`: a neutral base, which sees primitives
    (`train.primitives`) and no trace of more than two operations. `n_ops` is then the length of walks, and the shares
    above are not used. Empty: a base that sees whole traces."""
    page: int = 1
    """The most facts, forms or look-ups in one text."""
    wide_numbers: float = 0.0
    """The share of look-ups and walks whose numbers are drawn from all number tokens. Of four constants, one guess in 4
    is right, so a model learns late to copy them. It learns to follow names sooner without such numbers."""
    simple_forms: float = 0.0
    """The share of linear forms that are a product or a sum alone. A form has one of each, over all residues, and a
    model learns the two together late."""
    positions: int = 0
    """Spread every second text of primitives over up to this many positions, as `SFTConfig.positions` does. 0: none."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    seed: int = 0
    """Seed of the weights and the data."""
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
        self._check_primitives()
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}")
        if self.grow < 0 or (self.grow and not self.init):
            raise ValueError(f"grow must be at least 0, and above 0 it needs a model in init; got {self.grow}")
        MODEL_FAMILIES.find(self.family)

    def _check_primitives(self) -> None:
        names = [name for name, _ in self.primitives]
        if unknown := [name for name in names if name not in PRIMITIVES]:
            raise ValueError(f"unknown primitive {unknown[0]!r}; use {', '.join(PRIMITIVES)}")
        shares = [share for _, share in self.primitives]
        if names and (len(set(names)) < len(names) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9):
            raise ValueError(
                f"primitives needs pairs of a name, each once, and its share, sum 1; got {self.primitives}"
            )
        shares_of = (self.wide_numbers, self.simple_forms)
        if self.page < 1 or min(shares_of) < 0 or max(shares_of) > 1:
            raise ValueError(
                f"page must be at least 1, wide_numbers and simple_forms in 0..1; got {self.page} and {shares_of}"
            )
        if self.positions < 0 or (self.positions and not names):
            raise ValueError(f"positions must be at least 0, and above 0 it needs primitives; got {self.positions}")

    @property
    def chains(self) -> float:
        """Share of chain problems with whole traces: what the other shares leave."""
        return max(0.0, 1 - self.facts - self.lookups - self.walks - self.starts)
