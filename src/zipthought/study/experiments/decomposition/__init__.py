"""The decomposition experiment: does RLVR decompose compressed steps, and does more SFT (F3)? Or does it only return to
what the base did (F7)? Does RLVR with a price on tokens compress again (F5)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ....core.methods import parse_method
from ....report.data import Finding, Section
from ....train.config import OptimizerConfig, SFTConfig
from ...cells import (
    BASE_STATE,
    BRANCHES,
    PRICED,
    PRICED_BRANCHES,
    RLVR_BASE,
    RLVR_PRICED,
    SFT_STATE,
    Cell,
    DecompositionCell,
    DecompositionSettings,
)
from ...experiment import Experiment, check_axis
from ..sft import canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .measurements import DecompositionMeasurements

COMPARED = (SFT_STATE, "sft-updates", "sft-tokens")
"""The states that the verdict of F3 compares with `rlvr`."""
NAMES = {
    BASE_STATE: "base",
    SFT_STATE: "after SFT",
    "rlvr": "RLVR",
    "sft-updates": "SFT, same updates",
    "sft-tokens": "SFT, same tokens",
    "rejection": "rejection sampling, same tokens",
    RLVR_BASE: "RLVR from the base",
    PRICED: "RLVR with a price on tokens",
    RLVR_PRICED: "RLVR, then RLVR with the price",
}
"""State of a model -> its name in the report, in the order of the report."""


@dataclass(frozen=True, kw_only=True)
class Decomposition(DecompositionSettings, Experiment["list[DecompositionMeasurements]"]):
    """SFT on a compressed format, then RLVR against more SFT, rejection sampling and the base. Its measurements are one
    for each format and length of SFT."""

    NAME: ClassVar[str] = "decomposition"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F3", "F7", "F5")
    ADDED: ClassVar[Mapping[str, Any]] = {
        "branches": ("rlvr", "sft-updates", "sft-tokens"),
        "sft_min_learning_rate_ratio": 0.1,
        "priced_reward": "",
    }
    TABLES: ClassVar[tuple[str, ...]] = ("profiles",)

    formats: tuple[str, ...] = ("composed:2",)
    """The formats of the SFT."""
    sft_steps: tuple[int, ...] = (30,)
    """Updates of the SFT. The first decides the verdicts; others show how they depend on SFT."""
    branches: tuple[str, ...] = BRANCHES
    """The states that are compared with the one after SFT. `rlvr`, `sft-updates` and `sft-tokens` are needed for F3,
    and `base` for F7. The base is measured once for all seeds. `priced` and `rlvr-priced`, with a `priced_reward`, are
    needed for F5."""
    learnt: float = 0.8
    """The format counts as learnt if at least this share of the completions after SFT is faithful. Otherwise the
    verdicts are inconclusive."""

    def __post_init__(self) -> None:
        DecompositionSettings.__post_init__(self)
        for fmt in self.formats:
            method = parse_method(fmt)
            if method.NAME not in ("composed", "implicit") or method.k == 1:
                raise ValueError(f"decomposition needs composed:k or implicit:k with k above 1, got {fmt!r}")
        check_axis(self, ("formats", "sft_steps", "n_ops"))
        if min(self.sft_steps) < 1:
            raise ValueError(f"sft_steps must be at least 1, got {self.sft_steps}")
        check_axis(self, ("branches",))
        known = (*BRANCHES, *PRICED_BRANCHES)
        if unknown := [branch for branch in self.branches if branch not in known]:
            raise ValueError(f"unknown branch {unknown[0]!r}; use {', '.join(known)}")
        priced = set(self.branches) & set(PRICED_BRANCHES)
        if priced != (set(PRICED_BRANCHES) if self.priced_reward else set()):
            raise ValueError(
                f"a priced_reward and the branches {' and '.join(PRICED_BRANCHES)} need each other, got "
                f"{self.priced_reward!r} and {list(self.branches)}"
            )
        if missing := [branch for branch in ("rlvr", *COMPARED[1:]) if branch not in self.branches]:
            raise ValueError(f"branches must include {missing[0]}, which F3 compares, got {list(self.branches)}")
        if not 0 <= self.learnt <= 1:
            raise ValueError(f"learnt must be a share in 0..1, got {self.learnt}")

    def check(self, spec: StudySpec) -> None:
        SFTConfig(engine=spec.engine, optimizer=OptimizerConfig(optimizer=self.sft_optimizer))
        adapters = spec.lora_rank and spec.execution.generation == "vllm"  # vLLM reads them merged.
        if (spec.execution.processes > 1 or adapters) and self.measure_every < self.rl_steps:
            raise ValueError(
                "cells of several processes, and adapters with vllm, are measured at their end alone: set "
                f"measure_every to {self.rl_steps}"
            )
        if spec.engine == "native" and spec.execution.generation == "vllm":
            raise ValueError(
                "log-probabilities of vLLM differ from those of the training, and RLVR of the engine native does not "
                'correct for that: use generation = "native" or "transformers", or the engine trl'
            )

    def lengths(self) -> tuple[int, ...]:
        return self.n_ops + self.longer_n_ops

    @property
    def finding_ids(self) -> tuple[str, ...]:
        return self.FINDINGS if self.priced_reward else self.FINDINGS[:-1]

    @property
    def settings(self) -> DecompositionSettings:
        """The settings of its cells."""
        return DecompositionSettings(**{f.name: getattr(self, f.name) for f in fields(DecompositionSettings)})

    @property
    def states(self) -> tuple[str, ...]:
        """The states of a run, in the order of the report."""
        return tuple(state for state in NAMES if state in (SFT_STATE, *self.branches))

    def cells(self, spec: StudySpec) -> list[Cell]:
        """The states of each run, seed by seed. Runs share the states without SFT."""
        return list(dict.fromkeys(cell for run in self.runs(spec) for cell in run.values()))

    def runs(self, spec: StudySpec) -> list[dict[str, DecompositionCell]]:
        """State -> its cell, of each SFT run."""
        shared, settings = spec.shared(self.model), self.settings
        first = [
            DecompositionCell(part=SFT_STATE, format=fmt, sft_steps=steps, seed=seed, settings=settings, **shared)
            for fmt in canonical(self.formats)
            for steps in self.sft_steps
            for seed in self.seeds_of(spec)
        ]
        return [{state: cell.sibling(state) for state in self.states} for cell in first]

    def collect(self, study: Snapshot) -> list[DecompositionMeasurements] | None:
        from .measurements import collect

        return collect(study, self)

    def findings(self, measured: list[DecompositionMeasurements] | None, count: int, spec: StudySpec) -> list[Finding]:
        from .f3 import f3
        from .f5 import f5
        from .f7 import f7

        found = [finding(measured or [], self.learnt, count, spec.bootstrap) for finding in (f3, f7)]
        return found + ([f5(measured or [], count, spec.bootstrap)] if self.priced_reward else [])

    def section(self, study: Snapshot, measured: list[DecompositionMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self)
