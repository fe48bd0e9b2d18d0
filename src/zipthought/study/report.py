"""From the store to the report. Every number of a report is read or computed here and in the experiments, from the
store alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..report.data import Finding, RegistrationView, ReportData, Section
from .experiment import EXPERIMENTS
from .meta import MACHINES, REGISTRATION
from .registration import Registration, differences
from .snapshot import ALTERED, Snapshot

Measurements = Mapping[str, Any]
"""Experiment -> what its `collect` returned."""


NAMED = 3
"""So many cells and faults are named; the others are counted."""


def measure(study: Snapshot) -> Measurements:
    """The measurements of a study's finished cells."""
    return {name: experiment.collect(study) for name, experiment in study.spec.experiments.items()}


def warnings(study: Snapshot) -> list[str]:
    """Sentences on what the study lacks: cells that are not done, failed or damaged, and other damage."""
    counts = study.counts()
    lacking = {status: n for status, n in counts.items() if status != "done"}
    sentences = []
    if lacking:
        left = ", ".join(f"{n} {status}" for status, n in lacking.items())
        sentences.append(
            f"{sum(lacking.values())} of {len(study.cells)} cells are left out of all numbers and verdicts: {left}. "
            "'zipthought study run' with the study's file or preset runs them."
        )
    damage = [str(fault) for fault in study.faults]
    if damage:
        more = f", and {len(damage) - NAMED} more" if len(damage) > NAMED else ""
        sentences.append(
            f"The store is damaged: {'; '.join(damage[:NAMED])}{more}. 'zipthought study check' names all."
        )
    failed: dict[str, list[str]] = {}
    for cell in study.cells:
        if cell.status == "failed":
            failed.setdefault(str(cell.error), []).append(cell.name)
    if failed:
        lines = [f"{_first(names)}: {error}" for error, names in failed.items()]
        more = f", and {len(lines) - NAMED} more errors" if len(lines) > NAMED else ""
        sentences.append(f"Failed: {'; '.join(lines[:NAMED])}{more}.")
    return sentences


def _first(names: list[str]) -> str:
    """The first names, and the number of the others."""
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'; '.join(names[:NAMED])}{more}"


def notes(study: Snapshot) -> list[str]:
    """Sentences on results that could not be checked, and on those from other machines."""
    sentences = []
    if unchecked := sum(not cell.checked for cell in study.cells if cell.status != ALTERED):
        sentences.append(
            f"{unchecked} of {len(study.cells)} results have no checksum, because an earlier version wrote them."
        )
    machines = study.meta.get(MACHINES, [])
    if len(machines) > 1:
        listed = "; ".join(_described(each, machines[0]) for each in machines)
        sentences.append(f"The cells ran on {len(machines)} machines or versions, one after the other: {listed}.")
    return sentences


def _described(machine: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """The hardware of a machine, and what differs from the first one beside it."""
    hardware = ("processor", "cores", "gpu")
    parts = [str(machine.get("processor", "unknown processor")), f"{machine.get('cores', '?')} cores"]
    parts += [str(machine["gpu"])] if machine.get("gpu", "none") != "none" else []
    parts += [f"{k} {v}" for k, v in machine.items() if k not in hardware and (machine is first or first.get(k) != v)]
    return ", ".join(parts)


def findings(study: Snapshot, measured: Measurements) -> list[Finding]:
    """The verdict on every claim of the study's experiments."""
    spec = study.spec
    count = sum(len(experiment.finding_ids) for experiment in spec.experiments.values())
    return [
        finding
        for name, experiment in spec.experiments.items()
        for finding in experiment.findings(measured[name], count, spec)
    ]


def registration_view(study: Snapshot) -> RegistrationView:
    """The registration of a study, with every difference of the run: of its settings and bases as stored, and of the
    rules that this package applies."""
    stored = study.meta.get(REGISTRATION)
    if any(fault.name == f"row {REGISTRATION!r} of meta" for fault in study.faults):
        return RegistrationView(sentences=["The registration of this run is damaged."])
    if stored is None:
        return RegistrationView(sentences=["This run was not registered."])
    try:
        registered = Registration.from_plain(stored, f"the registration of the study in {study.directory}")
    except ValueError as error:  # Of a later version.
        return RegistrationView(sentences=[f"The registration of this run cannot be read: {error}."])
    found = differences(registered, Registration.of(study.spec))
    count = f"{len(found)} difference{'s' * (len(found) > 1)}"
    sentences = [f"The run has {count} from its registration." if found else "The run equals its registration."]
    version = study.meta.get("environment", {}).get("zipthought", registered.zipthought)
    if version != registered.zipthought:
        sentences.append(f"It was registered with zipthought {registered.zipthought} and run with {version}.")
    return RegistrationView(
        sha256=registered.digest,
        date=registered.date,
        sentences=sentences,
        differences=[difference._asdict() for difference in found],
    )


def report_data(study: Snapshot, measured: Measurements) -> ReportData:
    """The content of the report. Tables of experiments that the study does not have are empty."""
    spec, environment = study.spec, study.meta.get("environment", {})
    sections = [experiment.section(study, measured[name]) for name, experiment in spec.experiments.items()]
    sections += [
        Section(experiment=name, tables={table: [] for table in kind.TABLES})
        for name, kind in EXPERIMENTS.items()
        if name not in spec.experiments
    ]
    return ReportData(
        title=f"zipthought study: {spec.name}",
        command=str(environment.get("command", "zipthought study run")),
        spec=spec.plain(),
        environment=environment | {"models": study.meta["models"]},
        created=_date(study.meta.get("created")),
        warnings=warnings(study),
        notes=notes(study),
        registration=registration_view(study),
        findings=findings(study, measured),
        sections=sections,
    )


def _date(seconds: float | None) -> str:
    """The time as text; empty if it is not known."""
    if seconds is None or not 0 <= seconds < 1e11:
        return ""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def summary(study: Snapshot, measured: Measurements, data: ReportData) -> dict[str, Any]:
    """What ``study run --json`` prints: counts, findings, and what the experiments add, such as fitted curves."""
    values: dict[str, Any] = {
        "study": study.spec.name,
        "cells": study.counts(),
        "warnings": data.warnings,
        "notes": data.notes,
        "registration": asdict(data.registration),
        "findings": [asdict(finding) for finding in data.findings],
    }
    for name, kind in EXPERIMENTS.items():
        values |= kind.summary(measured.get(name))
    return values
