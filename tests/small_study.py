"""A study of every kind of cell, as small as it can be, for tests of what runs studies."""

import contextlib
import json
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

from zipthought.evaluation.metrics import summarize
from zipthought.study.cells import SFTCellResult
from zipthought.study.execute import execute
from zipthought.study.execution import CellExecution
from zipthought.study.meta import write_meta
from zipthought.study.ray_backend import Driver
from zipthought.study.runner import _run_cell
from zipthought.study.spec import make_spec


def spec_of(model):
    """Every experiment, as small as it can be: cells that need others, and weights that travel."""
    sft = {"n_ops": [2], "batch_size": 4, "test_count": 3, "train_count": 2}
    return make_spec(
        {
            "name": "small",
            "model": str(model),
            "bootstrap": 10,
            "seeds": [0, 1],
            "scaling": {
                **sft,
                "formats": ["explicit", "implicit:2"],
                "examples": [4, 8],
                "steps": 2,
                "learning_rates": [1e-3, 1e-2],
                "validation_count": 3,
            },
            "decomposition": {
                "sft_steps": [2],
                "examples": 8,
                "sft_batch_size": 4,
                "n_ops": [2],
                "longer_n_ops": [3],
                "rl_steps": 2,
                "prompts_per_step": 2,
                "group_size": 2,
                "measure_every": 1,
                "count": 3,
                "samples": 1,
                "sampled": 1,
            },
        }
    )


def results(store):
    """Digest -> result of every cell, without the training time."""
    cells = store.read().cells
    return {c.digest: {k: v for k, v in c.result.plain().items() if k != "train_seconds"} for c in cells}


def run_here(store):
    """All cells in this process."""
    while cell := store.claim("here:1"):
        assert store.finish(cell.digest, "here:1", execute(cell, store.workspace(cell), 1), 1.0)
    return store


def run_in_process(store, **_):
    """`runner.run` without worker processes, each of which needs seconds to import what models need."""
    store.begin()
    while cell := store.claim("here:1"):
        _run_cell(store, "here:1", cell, 1, store.workspace(cell))
    return store.counts()


def job_of(store, cell, sees_study=False):
    """The arguments of `node.run_job` for a claimed cell, as a driver makes them: without packed weights for a node
    that sees the study, else with them."""
    ray = SimpleNamespace(remote=lambda **_: lambda function: None, put=lambda packed: packed)
    driver = Driver(ray, store, 1, 0.0, CellExecution())
    driver.packs = not sees_study
    job, packed = driver.job(cell)
    return (job if sees_study else replace(job, token="")), packed


LATER = {
    "before",
    "tune_each",
    "rates",
    "structures",
    "parts",
    "part",
    "converge",
    "arms",
    "further_formats",
    "further_seeds",
}
"""Settings of experiments and fields of cells since version 0.4."""


def as_version_03(directory):
    """Rewrite a store as version 0.3 would have written it: without later settings and cells of bases."""
    with contextlib.closing(sqlite3.connect(directory / "study.db", isolation_level=None)) as db:
        for digest, config in db.execute("SELECT digest, config FROM cells").fetchall():
            values = json.loads(config)
            if values["kind"] == "step0":
                db.execute("DELETE FROM cells WHERE digest = ?", (digest,))
            elif values["kind"] == "sft":
                old = json.dumps({name: value for name, value in values.items() if name not in LATER})
                db.execute("UPDATE cells SET config = ? WHERE digest = ?", (old, digest))
        meta = {key: json.loads(text) for key, text in db.execute("SELECT key, value FROM meta") if key != "checksums"}
        for name in ("scaling", "repetition", "orders"):
            if table := meta["spec"].get(name):
                meta["spec"][name] = {key: value for key, value in table.items() if key not in LATER}
        write_meta(db, meta)


def as_version_02(directory):
    """Rewrite a store as version 0.2 would have written it: without checksums."""
    with contextlib.closing(sqlite3.connect(directory / "study.db", isolation_level=None)) as db:
        for column in ("files", "checksum"):
            db.execute(f"ALTER TABLE cells DROP COLUMN {column}")
        db.execute("DELETE FROM meta WHERE key IN ('checksums', 'unchecked')")
        db.execute("UPDATE meta SET value = '2' WHERE key = 'format'")


def result_of(accuracy=None, **fields):
    """The result of an SFT cell that measured nothing; `accuracy` is that of its test problems."""
    nothing = summarize([])
    empty = {
        "learning_rate": 1e-3,
        "points": (),
        "step": 1,
        "tokens": 0,
        "flops": 0.0,
        "memorized": None,
        "parameters": 1,
        "distinct_tokens": 1,
        "train_seconds": 0.0,
        "loss": (),
    }
    return SFTCellResult(**empty | fields, test=replace(nothing, accuracy=accuracy), train=nothing)
