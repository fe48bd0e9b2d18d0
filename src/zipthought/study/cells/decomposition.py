"""Cells of the decomposition experiment: the states of a model that are compared. `decomposition_run` runs them.

base           the base, before any SFT; measured once for all seeds
sft            SFT on a compressed format; keeps its weights
rlvr           GRPO from these weights, on problems whose structures SFT never saw
sft-updates    more SFT from these weights, for as many updates as RLVR
sft-tokens     more SFT from these weights, for as many tokens as RLVR read and wrote
rejection      SFT from these weights on correct completions of their own, for as many tokens, sampling included
rlvr-base      GRPO from the base without SFT, on the problems of `rlvr`
priced         GRPO as `rlvr`, with a price on tokens in the reward
rlvr-priced    GRPO with that price from the weights that `rlvr` left, for as many updates
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ...evaluation.config import EvaluateConfig
from ...train.config import ROLLOUTS_AT_ONCE, OptimizerConfig, RLVRConfig, SFTConfig
from ...train.rewards import parse_reward
from .base import Cell, OnStep, Result, Work, as_tuple
from .tokens import longest_tokens, mean_tokens

if TYPE_CHECKING:
    from ..workspace import Workspace

BASE_STATE = "base"
"""The base, before any SFT."""
SFT_STATE = "sft"
"""The state after SFT, which most branches start from."""
RLVR_BASE = "rlvr-base"
BRANCHES = ("rlvr", "sft-updates", "sft-tokens", BASE_STATE, "rejection", RLVR_BASE)
"""The states that a study compares with `sft`, unless it names others."""
PRICED = "priced"
RLVR_PRICED = "rlvr-priced"
PRICED_BRANCHES = (PRICED, RLVR_PRICED)
"""Further states, of a study that names a `priced_reward`."""
RLVR_STATES = ("rlvr", RLVR_BASE, *PRICED_BRANCHES)
_SHARED: dict[str, dict[str, Any]] = {
    BASE_STATE: {"format": "", "sft_steps": 0, "seed": 0},
    RLVR_BASE: {"format": "", "sft_steps": 0},
}
"""The fields of states without SFT, which do not depend on its format and length; the base not on the seed either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionSettings:
    """The settings that all cells of a decomposition share."""

    sft_learning_rate: float = 5e-4
    """The peak learning rate of SFT. The first SFT decays it by a cosine; the branches keep it constant."""
    sft_optimizer: str = "adamw"
    """The optimizer of SFT, before and in the branches: `adamw` or `muon`."""
    sft_min_learning_rate_ratio: float = 0.1
    """The learning rate of the last update of the first SFT over its peak."""
    sft_batch_size: int = 64
    """Sequences in an update."""
    examples: int = 2048
    """Distinct training problems of SFT."""
    n_ops: tuple[int, ...] = (3, 4)
    """Operations of the problems of SFT and of RLVR."""
    longer_n_ops: tuple[int, ...] = (5, 6)
    """Operations of further measured problems."""
    rl_steps: int = 250
    """Updates of RLVR."""
    prompts_per_step: int = 32
    """Problems in an update of RLVR."""
    group_size: int = 8
    """Rollouts of a problem."""
    rl_learning_rate: float = 2e-4
    """The learning rate of RLVR after its warm-up; it does not decay."""
    kl: float = 0.0
    """The weight of the divergence from the model before RLVR."""
    priced_reward: str = ""
    """The reward of `priced` and `rlvr-priced`, such as `outcome+length:0.004`; empty for a study without them."""
    measure_every: int = 50
    """Updates between measurements."""
    count: int = 100
    """Measured held-out problems of each n_ops."""
    samples: int = 64
    """Completions of a problem for pass@k, at temperature 1."""
    sampled: int = 50
    """Problems of each n_ops for pass@k."""

    def __post_init__(self) -> None:
        if set(self.n_ops) & set(self.longer_n_ops):
            raise ValueError(f"longer_n_ops must differ from n_ops, got {self.longer_n_ops} and {self.n_ops}")
        if min(self.measure_every, self.samples, self.sampled) < 1:
            raise ValueError(
                f"measure_every, samples and sampled must be at least 1, got {self.measure_every}, {self.samples} and "
                f"{self.sampled}"
            )
        optimizer = OptimizerConfig(
            learning_rate=self.sft_learning_rate,
            optimizer=self.sft_optimizer,
            min_learning_rate_ratio=self.sft_min_learning_rate_ratio,
        )
        SFTConfig(batch_size=self.sft_batch_size, optimizer=optimizer)
        EvaluateConfig(n_ops=self.n_ops + self.longer_n_ops, count=self.count)
        if self.priced_reward:
            parse_reward(self.priced_reward)
        RLVRConfig(
            n_ops=self.n_ops,
            steps=self.rl_steps,
            prompts_per_step=self.prompts_per_step,
            group_size=self.group_size,
            kl=self.kl,
            optimizer=OptimizerConfig(learning_rate=self.rl_learning_rate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthMeasures:
    """Greedy completions of held-out problems of one length. A mean over nothing is None."""

    n: int
    """Problems."""
    correct: int
    """Correct answers."""
    faithful: float
    """The share of faithful completions."""
    response_tokens: float
    """Mean tokens of a completion."""
    truncated: float
    """The share that reached the limit of tokens."""
    ops_per_step: float | None
    """Mean operations of a valid step."""
    single_op_share: float | None
    """The share of valid steps that cover one operation."""
    single_op_coverage: float | None = None
    """The mean share of the operations that are shown singly and validly; None in results of versions up to 0.3."""

    @property
    def accuracy(self) -> float:
        """The share of correct answers."""
        return self.correct / self.n

    def plain(self) -> dict[str, Any]:
        """The measures as JSON values."""
        return asdict(self) | {"accuracy": self.accuracy}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> LengthMeasures:
        """The inverse of `plain`. Results of version 0.1 have no `correct`; it is recovered from the accuracy here."""
        given = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        given.setdefault("correct", round(values["accuracy"] * values["n"]))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPoint:
    """A measurement during a branch."""

    step: int
    """Updates since SFT (without SFT, since the base)."""
    tokens: int
    """Training tokens since then, as in `DecompositionResult`."""
    by_n_ops: dict[int, LengthMeasures]

    def plain(self) -> dict[str, Any]:
        """The point as JSON values."""
        lengths = {str(n): measures.plain() for n, measures in self.by_n_ops.items()}
        return {"step": self.step, "tokens": self.tokens, "by_n_ops": lengths}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> BranchPoint:
        """The inverse of `plain`."""
        lengths = {int(n): LengthMeasures.from_plain(measures) for n, measures in values["by_n_ops"].items()}
        return cls(step=values["step"], tokens=values["tokens"], by_n_ops=lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassAt:
    """pass@k of one length at temperature 1."""

    correct: dict[int, float]
    """k -> pass@k of the answer."""
    faithful: dict[int, float]
    """k -> pass@k of faithful completions."""

    def plain(self) -> dict[str, Any]:
        """The values as JSON values."""
        return {name: {str(k): v for k, v in getattr(self, name).items()} for name in ("correct", "faithful")}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> PassAt:
        """The inverse of `plain`."""
        return cls(**{name: {int(k): v for k, v in values[name].items()} for name in ("correct", "faithful")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """Metrics of the rollouts of one update of RLVR, as `train.grpo` names them."""

    step: int
    reward: float
    zero_variance: float
    kl: float | None
    entropy: float | None
    response_tokens: float
    truncated: float
    ops_per_step: float | None
    single_op_share: float | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Rollouts:
        """From the metrics of an update, or from JSON values."""
        return cls(**{f.name: row[f.name] for f in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionResult(Result):
    """What a cell of the decomposition measured."""

    points: tuple[BranchPoint, ...]
    """Measurements; the last is that of the final model."""
    pass_at: dict[int, PassAt]
    """n_ops -> pass@k of the final model; empty with one sample."""
    rollouts: tuple[Rollouts, ...]
    """A thinned series; empty without RLVR."""
    updates: int
    tokens: int
    """Training tokens; for RLVR all tokens that it read and wrote; for `rejection` also those of the samples."""
    parameters: int
    train_seconds: float

    def plain(self) -> dict[str, Any]:
        """The result as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {
            "points": [point.plain() for point in self.points],
            "pass_at": {str(n): values.plain() for n, values in self.pass_at.items()},
            "rollouts": [asdict(row) for row in self.rollouts],
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> DecompositionResult:
        """The inverse of `plain`. It also reads results of version 0.1."""
        return cls(
            **{f.name: values[f.name] for f in fields(cls)}
            | {
                "points": tuple(BranchPoint.from_plain(point) for point in values["points"]),
                "pass_at": {int(n): PassAt.from_plain(row) for n, row in values["pass_at"].items()},
                "rollouts": tuple(Rollouts.of(row) for row in values["rollouts"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionCell(Cell):
    """A state of a model: the base, after SFT on a compressed format, or after a branch."""

    NAME = "decomposition"
    RESULT = DecompositionResult

    part: str
    """`sft`, or one of `BRANCHES`."""
    format: str
    """The format of the SFT; empty for a state without SFT."""
    sft_steps: int
    """Updates of the SFT; 0 for a state without SFT."""
    settings: DecompositionSettings

    @property
    def label(self) -> str:
        if self.part in _SHARED:
            return "the base" if self.part == BASE_STATE else "the base, then rlvr"
        before = f"{self.format}, {self.sft_steps} updates of SFT"
        return before if self.part == SFT_STATE else f"{before}, then {self.part}"

    @property
    def cost(self) -> float:
        # Generation takes about three times as long as training on the same sequences.
        s = self.settings
        rollouts = s.rl_steps * s.prompts_per_step * s.group_size
        sequences = {
            BASE_STATE: 3 * (s.count + s.samples * s.sampled),
            SFT_STATE: self.sft_steps * s.sft_batch_size,
            "sft-updates": s.rl_steps * s.sft_batch_size,
            "sft-tokens": rollouts,
            "rejection": 2 * rollouts,
        }
        return sequences.get(self.part, 4 * rollouts) * (1 + max(s.n_ops))

    @property
    def keeps_weights(self) -> bool:
        return self.part == SFT_STATE or (self.part == "rlvr" and bool(self.settings.priced_reward))

    def plain(self) -> dict[str, Any]:
        """The cell as JSON values. Settings added after version 0.3 are left out at their defaults, so that digests
        stay."""
        values = Cell.plain(self)  # `super()` does not work in a dataclass with slots.
        for name, default in (
            ("sft_optimizer", "adamw"),
            ("sft_min_learning_rate_ratio", 0.1),
            ("priced_reward", ""),
        ):
            if values["settings"][name] == default:
                del values["settings"][name]
        return values

    def sibling(self, part: str) -> DecompositionCell:
        """The cell of another state of the same run. Runs share the states without SFT."""
        return replace(self, part=part, **_SHARED.get(part, {}))

    def completion_names(self) -> tuple[str, ...]:
        return (self.part,)

    def needs(self) -> list[Cell]:
        if self.part in (SFT_STATE, *_SHARED):
            return []
        # The number of RLVR's tokens is known when RLVR is done.
        after_rlvr = self.part in ("sft-tokens", "rejection", RLVR_PRICED)
        return [self.sibling(SFT_STATE), *([self.sibling("rlvr")] if after_rlvr else [])]

    def work(self) -> Work:
        s = self.settings
        lengths = s.n_ops + s.longer_n_ops
        fmt = self.format or "explicit"
        sequence = sum(mean_tokens(self, fmt, "forward", s.n_ops))
        measured = sum(mean_tokens(self, fmt, "forward", lengths))
        points = 1 if self.part in (BASE_STATE, SFT_STATE) else -(-s.rl_steps // s.measure_every)
        evaluation = len(lengths) * (points * s.count + s.samples * s.sampled) * measured
        written = len(lengths) * s.count * measured
        rollouts = s.rl_steps * s.prompts_per_step * s.group_size * sequence
        if self.part == BASE_STATE:
            return Work(0.0, evaluation, written=written)
        longest = longest_tokens(self, "explicit" if self.part in RLVR_STATES else fmt, "forward", s.n_ops)
        if self.part in RLVR_STATES:
            together = ROLLOUTS_AT_ONCE if self.engine == "native" else s.prompts_per_step * s.group_size
            reference = rollouts if s.kl else 0.0
            return Work(rollouts, rollouts + evaluation, reference, longest, together * longest, written)
        if self.part == "rejection":
            return Work(rollouts / 2, rollouts / 2 + evaluation, longest=longest, written=written)
        updates = {SFT_STATE: self.sft_steps, "sft-updates": s.rl_steps}.get(self.part)
        trained = rollouts if updates is None else updates * s.sft_batch_size * sequence
        return Work(trained, evaluation, longest=longest, written=written)

    def run(self, workspace: Workspace, on_step: OnStep | None = None) -> DecompositionResult:
        from .decomposition_run import run_part

        return run_part(self, workspace, on_step)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> DecompositionCell:
        settings = DecompositionSettings(**{name: as_tuple(value) for name, value in values["settings"].items()})
        known = {f.name for f in fields(cls)}
        own = {name: value for name, value in values.items() if name in known}
        return cls(**own | {"settings": settings})
