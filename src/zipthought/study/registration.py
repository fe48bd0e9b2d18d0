"""Registrations: a file that holds everything that is fixed before a study runs, and how a run differs from it.

``zipthought study register SPEC --output-file F.json`` writes one. It is JSON with sorted keys, and its `sha256` is a
digest of all other values. A study keeps its registration in its store, and the report lists every difference. A file
proves nothing about time by itself: commit it before the run.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..files.json_text import parse_json
from .cells.sft import FIT, RISE
from .database import MALFORMED
from .experiments.scaling.f2a import SATURATED
from .spec import PRESETS, StudySpec, with_added
from .store import Store
from .verdicts import FITTED, LEAST_DIFFERENCE, LEAST_SEEDS, LEAST_WIDTH, LEVEL

FORMAT = 1
"""The version of the layout of these files."""
DIGEST = "sha256"
"""The key of the digest."""
THRESHOLDS = {
    "level": LEVEL,
    "least_seeds": LEAST_SEEDS,
    "least_difference": LEAST_DIFFERENCE,
    "least_width": LEAST_WIDTH,
    "fitted": FITTED,
    "saturated": SATURATED,
    "run_fits": FIT,
    "run_rises": RISE,
}
"""The numbers that all verdicts share."""
ABSENT = "-"
"""The text of a value that one side does not have."""


class Difference(NamedTuple):
    """Something in which a run differs from its registration."""

    name: str
    """A setting such as `scaling.learning_rates`, or for example `rule of F1`, `base bundled`, `threshold fitted`."""
    registered: str
    """The registered value as text."""
    run: str
    """The value of the run as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was fixed. All values are as JSON holds them."""

    study: str
    """The name of the study."""
    settings: dict[str, Any]
    """The spec with all defaults, in the layout of the TOML file. Each experiment has the seeds that it runs with."""
    rules: dict[str, dict[str, str]]
    """Finding -> its `claim` and its `rule`."""
    thresholds: dict[str, float]
    """`THRESHOLDS`."""
    models: dict[str, str]
    """Base -> the digest of its files (`study.models.model_digest`)."""
    cells: dict[str, Any]
    """The `count` of the cells, and a `sha256` of their digests in order."""
    zipthought: str
    """The version of this package that wrote the registration."""
    date: str = ""
    """The day on which it was written (UTC), as ``2026-11-30``; empty if that is not recorded."""

    @classmethod
    def of(cls, spec: StudySpec, date: str = "") -> Registration:
        """What this package fixes for a study. Raises `ValueError` for cells that cannot run."""
        settings = spec.plain()
        for name, experiment in spec.experiments.items():
            settings[name]["seeds"] = experiment.seeds_of(spec)
        cells = spec.cells()
        digests = "\n".join(cell.digest for cell in cells)
        values = {
            "study": spec.name,
            "settings": settings,
            "rules": _rules(spec),
            "thresholds": THRESHOLDS,
            "models": {cell.model: cell.model_digest for cell in cells},
            "cells": {"count": len(cells), "sha256": hashlib.sha256(digests.encode()).hexdigest()},
            "zipthought": __version__,
            "date": date,
        }
        return cls(**json.loads(json.dumps(values)))  # Tuples become lists, as in a file.

    def _content(self) -> dict[str, Any]:
        return {"format": FORMAT} | {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def digest(self) -> str:
        """The sha256 of the content as JSON with sorted keys and without spaces, 64 hex digits."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """The values of the file."""
        return self._content() | {DIGEST: self.digest}

    def text(self) -> str:
        """The text of the file."""
        return json.dumps(self.plain(), sort_keys=True, indent=1) + "\n"

    @classmethod
    def from_plain(cls, values: Any, where: str) -> Registration:
        """The inverse of `plain`. Raises `ValueError` with the reason if it is damaged; `where` names it."""
        if not isinstance(values, dict) or DIGEST not in values or "format" not in values:
            raise ValueError(f"{where} is no registration of a study; write one with 'zipthought study register'")
        if values["format"] != FORMAT:
            raise ValueError(f"{where} has the format {values['format']!r:.20}; this version reads {FORMAT}")
        names = [f.name for f in fields(cls)]
        try:
            made = cls(**{name: values[name] for name in names})
            sound = set(values) == {"format", DIGEST, *names} and made.digest == values[DIGEST]
            sound = sound and all(made._well_formed())
        except MALFORMED:
            sound = False
        if not sound:
            raise ValueError(f"{where} is damaged: its content does not match its sha256; restore it, or register anew")
        return made

    def _well_formed(self) -> Iterator[bool]:
        """Whether each value is of the type that its field declares. A digest over wrong types is a digest, too."""
        kinds = {"str": str, "dict": dict}
        for f in fields(self):
            yield isinstance(getattr(self, f.name), kinds[str(f.type).partition("[")[0]])
        yield all(isinstance(rule, dict) for rule in self.rules.values())


def _rules(spec: StudySpec) -> dict[str, dict[str, str]]:
    """The claim and the rule of each finding, as the report of the study without any result shows them."""
    from .report import findings, measure

    with tempfile.TemporaryDirectory(prefix="zipthought-") as directory:
        study = Store.create(Path(directory), spec, {}).read()
        return {f.id: {"claim": f.claim, "rule": f.rule} for f in findings(study, measure(study))}


def read_registration(path: Path) -> Registration:
    """The registration in a file. Raises `ValueError` with the reason for any other file, and `OSError` as `open`
    does."""
    try:
        values = parse_json(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no registration of a study: it is not valid JSON ({error})") from error
    return Registration.from_plain(values, str(path))


def shipped_registration(preset: str) -> Registration | None:
    """The registration that ships with a preset; None if there is none."""
    file = resources.files("zipthought.study").joinpath("registrations", f"{preset}.json")
    if preset not in PRESETS or not file.is_file():
        return None
    return Registration.from_plain(parse_json(file.read_text("utf-8")), f"the registration of {preset}")


def differences(registered: Registration, run: Registration) -> list[Difference]:
    """Every difference of the design: settings, thresholds, bases, claims and rules. The version of the package and
    the date are none. Other cells from equal settings and bases are one, too."""
    found = [
        Difference(name, _text(before), _text(now))
        for name, before, now in (
            *_changed(_flat(with_added(registered.settings)), _flat(run.settings)),
            *_changed(registered.thresholds, run.thresholds, "threshold "),
            *_changed(registered.models, run.models, "base "),
        )
    ]
    if not found and registered.cells != run.cells:
        found.append(Difference("cells of equal settings", _text(registered.cells), _text(run.cells)))
    for key in ("claim", "rule"):
        before, now = ({id: rule.get(key) for id, rule in r.rules.items()} for r in (registered, run))  # noqa: A001
        found += [Difference(name, _text(b), _text(n)) for name, b, n in _changed(before, now, f"{key} of ")]
    return found


_ABSENT = object()


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(name, value before, value now) where they differ."""
    names = dict.fromkeys([*before, *now])
    pairs = [(name, before.get(name, _ABSENT), now.get(name, _ABSENT)) for name in names]
    return [(f"{prefix}{name}", b, n) for name, b, n in pairs if b is _ABSENT or n is _ABSENT or b != n]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of tables under names with a dot."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _text(value: Any) -> str:
    if value is _ABSENT:
        return ABSENT
    return value if isinstance(value, str) and value else json.dumps(value)
