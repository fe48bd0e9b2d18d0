"""What the experiments of SFT runs share: settings, their checks, and the settings of their cells."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ...core.methods import parse_method
from ...evaluation.config import EvaluateConfig
from ...train.config import OptimizerConfig, SFTConfig
from ..cells import SFTCell, SFTCellResult
from ..experiment import Experiment, Measured, check_axis

if TYPE_CHECKING:
    from ..snapshot import Snapshot
    from ..spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class SFTExperiment(Experiment[Measured]):
    """An experiment whose cells are SFT runs."""

    n_ops: tuple[int, ...] = (5,)
    """Operations of the problems."""
    batch_size: int = 32
    """Sequences in an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...] = (1e-3,)
    """The peak. Of several, each format (and order) takes the one with the best accuracy on the validation split, from
    one run each with a seed of its own."""
    test_count: int = 100
    """Measured held-out problems of each length."""
    validation_count: int = 100
    """Problems of the validation split, for choices that are made on it."""
    train_count: int = 50
    """Measured training problems of each of `n_ops`."""

    def __post_init__(self) -> None:
        check_axis(self, ("n_ops", "learning_rates"))
        for rate in self.learning_rates:
            OptimizerConfig(learning_rate=rate, optimizer=self.optimizer)
        SFTConfig(batch_size=self.batch_size)
        EvaluateConfig(n_ops=self.n_ops, count=self.test_count)
        if min(self.train_count, self.validation_count) < 1:
            raise ValueError(
                f"train_count and validation_count must be at least 1, got {self.train_count} and "
                f"{self.validation_count}"
            )

    def lengths(self) -> tuple[int, ...]:
        return self.n_ops

    def check_examples(self, fewest: int) -> None:
        """Raise `ValueError` if some length would have no example."""
        if fewest < len(self.n_ops):
            raise ValueError(f"examples must be at least one for each of {len(self.n_ops)} n_ops, got {fewest}")

    def check_structures(self, spec: StudySpec, most: int) -> None:
        """Raise `ValueError` if a length has fewer structures than `most` examples need. Tasks that cannot count their
        structures are not checked."""
        for n in self.n_ops:
            structures = count_structures(spec, n)
            if structures is not None and most // len(self.n_ops) > structures:
                raise ValueError(
                    f"{most} examples of n_ops {self.n_ops}: n_ops={n} has {structures} structures in all; lower "
                    "examples"
                )

    def cell_settings(self, spec: StudySpec, most: int, model: str = "") -> dict[str, Any]:
        """The fields that all its cells share. Learning rates are chosen with `most` examples. `model` is the base;
        empty: that of the experiment."""
        own = {f.name: getattr(self, f.name) for f in fields(SFTCell) if hasattr(self, f.name)}
        tuning = {"tuning_examples": most if len(self.learning_rates) > 1 else 0}
        return own | tuning | spec.shared(model or self.model)

    def finished(self, study: Snapshot) -> list[SFTCell]:
        """Its finished cells, in the order of `cells`."""
        results = study.results(SFTCellResult)
        return [c for c in self.cells(study.spec) if isinstance(c, SFTCell) and c.digest in results]


def canonical(formats: tuple[str, ...]) -> list[str]:
    """Formats in their canonical spelling, each once.

    Raises `ValueError` as `parse_method` does, and for a format that needs a tokenizer or a model.
    """
    methods = [parse_method(fmt) for fmt in formats]
    for method in methods:
        if method.needs:
            raise ValueError(f"format {method} needs a {' and a '.join(method.needs)}; problems of a task have none")
    return list(dict.fromkeys(map(str, methods)))


def count_structures(spec: StudySpec, n_ops: int) -> int | None:
    """The structures of a study's problems of one length, in all splits; None for a task that cannot count them."""
    sampler = spec.sampler(n_ops)
    return sampler.space.count_structures(sampler)
