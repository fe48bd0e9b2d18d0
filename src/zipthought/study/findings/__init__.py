"""The findings: from what the experiments measured to verdicts.

Each module has `collect`, which reads an experiment's cells from the store, and the findings, pure functions of that.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..store import Store
from . import decomposition, orders, repetition, scaling
from .decomposition import Decomposed
from .orders import Ordered
from .repetition import Repeated
from .scaling import Scaled
from .verdicts import Finding

BEARS_ON = {"scaling": ("F1", "F2a"), "repetition": ("F2b",), "decomposition": ("F3",), "orders": ("F4",)}
"""Experiment -> the findings that it decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that the findings of a study are computed from; None where the study has no such experiment."""

    scaling: list[Scaled] | None
    repetition: dict[str, Repeated] | None
    decomposition: list[Decomposed] | None
    orders: dict[tuple[str, str], Ordered] | None


def measure(store: Store) -> Measured:
    """What the finished cells of a study measured."""
    spec = store.spec
    return Measured(
        scaling=scaling.collect(store, spec.scaling) if spec.scaling else None,
        repetition=repetition.collect(store, spec.repetition) if spec.repetition else None,
        decomposition=decomposition.collect(store, spec.decomposition) if spec.decomposition else None,
        orders=orders.collect(store, spec.orders) if spec.orders else None,
    )


def findings(store: Store, measured: Measured) -> list[Finding]:
    """The verdict on every claim that the study bears on."""
    spec = store.spec
    count = sum(len(BEARS_ON[name]) for name in spec.experiments)
    made = []
    if measured.scaling is not None:
        made += [scaling.f1(measured.scaling, count), scaling.f2a(measured.scaling, count)]
    if measured.repetition is not None:
        made.append(repetition.f2b(measured.repetition, count, spec.bootstrap))
    if measured.decomposition is not None:
        made.append(decomposition.f3(measured.decomposition, count, spec.bootstrap))
    if measured.orders is not None:
        made.append(orders.f4(measured.orders, count, spec.bootstrap))
    return made


__all__ = ["Finding", "Measured", "findings", "measure"]
