"""From the store to the report. Every number of a report is read or computed here and in the experiments, from the
store alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..report.data import Finding, ReportData, Section
from .experiment import EXPERIMENTS
from .store import Store

Measurements = Mapping[str, Any]
"""Experiment -> what its `collect` returned."""


def measure(store: Store) -> Measurements:
    """The measurements of a study's finished cells."""
    return {name: experiment.collect(store) for name, experiment in store.spec.experiments.items()}


def findings(store: Store, measured: Measurements) -> list[Finding]:
    """The verdict on every claim of the study's experiments."""
    spec = store.spec
    count = sum(len(experiment.FINDINGS) for experiment in spec.experiments.values())
    return [
        finding
        for name, experiment in spec.experiments.items()
        for finding in experiment.findings(measured[name], count, spec)
    ]


def report_data(store: Store, measured: Measurements) -> ReportData:
    """The content of the report. Tables of experiments that the study does not have are empty."""
    spec, environment = store.spec, store.meta("environment")
    sections = [experiment.section(store, measured[name]) for name, experiment in spec.experiments.items()]
    sections += [
        Section(experiment=name, tables={table: [] for table in kind.TABLES})
        for name, kind in EXPERIMENTS.items()
        if name not in spec.experiments
    ]
    return ReportData(
        title=f"zipthought study: {spec.name}",
        command=environment.get("command", "zipthought study run"),
        spec=spec.plain(),
        environment=environment | {"models": store.meta("models")},
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(store.meta("created"))),
        findings=findings(store, measured),
        sections=sections,
    )


def summary(store: Store, measured: Measurements, data: ReportData) -> dict[str, Any]:
    """What ``study run --json`` prints: counts, findings, and what the experiments add, such as fitted curves."""
    values: dict[str, Any] = {
        "study": store.spec.name,
        "cells": store.counts(),
        "findings": [asdict(finding) for finding in data.findings],
    }
    for name, kind in EXPERIMENTS.items():
        values |= kind.summary(measured.get(name))
    return values
