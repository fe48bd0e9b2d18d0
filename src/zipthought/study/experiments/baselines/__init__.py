"""The baselines experiment: which compression is best at equal training tokens (F8)? A format with shorter texts gets
more examples and updates for the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ....report.data import Finding, Section
from ...cells import Cell, SFTCell
from ...cells.tokens import mean_tokens
from ...experiment import check_axis
from ..sft import SFTExperiment, canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .findings import Measured


@dataclass(frozen=True, kw_only=True)
class Baselines(SFTExperiment["Measured"]):
    """SFT runs, format x training tokens. Its measurements are by format."""

    NAME: ClassVar[str] = "baselines"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F8",)
    TABLES: ClassVar[tuple[str, ...]] = ("baselines",)

    formats: tuple[str, ...] = (
        *("explicit", "composed:2", "implicit:2", "answer-only"),
        *("random-steps:0.6", "truncated:0.6", "steps:0.6", "tokens:0.6"),
    )
    """The formats. `steps:p` and `tokens:p` are scored by the base of the cell, before training."""
    tokens: tuple[int, ...] = (20_000, 80_000)
    """Tokens of the distinct training examples, prompts included. The last decides the verdict."""
    epochs: int = 4
    """Passes over the examples, so that a run trains on `epochs` times `tokens`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axis(self, ("formats",))
        check_axis(self, ("tokens",), ascending=True)
        canonical(self.formats)
        if min(self.tokens) < 1 or self.epochs < 1:
            raise ValueError(f"tokens and epochs must be at least 1, got {min(self.tokens)} and {self.epochs}")
        if self.converge:
            raise ValueError("runs that end by convergence do not train on equal tokens; leave converge out")

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, cells of few tokens first."""
        formats = canonical(self.formats)
        sizes = {fmt: [self.examples_of(spec, fmt, tokens) for tokens in self.tokens] for fmt in formats}
        self.check_examples(min(min(of) for of in sizes.values()))
        self.check_structures(spec, max(max(of) for of in sizes.values()))
        runs = [
            self.cell(spec, fmt, seed, index)
            for seed in self.seeds_of(spec)
            for index in range(len(self.tokens))
            for fmt in formats
        ]
        return [*self.step0_cells(spec), *runs]

    def cell(self, spec: StudySpec, fmt: str, seed: int, index: int) -> SFTCell:
        """The cell of a format at the number of tokens of this index."""
        examples = self.examples_of(spec, fmt, self.tokens[index])
        return self._cell(spec, fmt, seed, examples, index)

    def examples_of(self, spec: StudySpec, fmt: str, tokens: int) -> int:
        """As many examples as have so many tokens. The length of an example is a mean over sampled problems, in tokens
        of the base, or in words if its tokenizer is not on this disk."""
        probe = self._cell(spec, fmt, self.seeds_of(spec)[0], len(self.n_ops))
        return max(1, round(tokens / sum(mean_tokens(probe, fmt, "forward", self.n_ops))))

    def _cell(self, spec: StudySpec, fmt: str, seed: int, examples: int, index: int = 0) -> SFTCell:
        updates = max(self.points, -(-examples * self.epochs // self.batch_size))
        return SFTCell(
            **self.cell_settings(spec, examples, seed) | self.rate(fmt, index) | {"format": fmt, "steps": updates}
        )

    def collect(self, study: Snapshot) -> Measured | None:
        from .findings import collect

        return collect(study, self)

    def findings(self, measured: Measured | None, count: int, spec: StudySpec) -> list[Finding]:
        from .findings import f8

        return [f8(measured or {}, self.tokens, count, spec.bootstrap)]

    def section(self, study: Snapshot, measured: Measured | None) -> Section:
        from .report import section_of

        return section_of(study, self, measured or {})

    @classmethod
    def summary(cls, measured: Measured | None) -> dict[str, Any]:
        """Format -> mean held-out accuracy at each number of tokens."""
        accuracy: Mapping[str, list[float]] = {
            f: d.solved.mean(axis=(0, 2)).tolist() for f, d in (measured or {}).items()
        }
        return {"baselines": dict(accuracy)} if measured else {}
