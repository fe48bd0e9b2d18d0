"""Evaluation: problems of a split (or records of a file), completions of a model, verdicts, a summary by n_ops.

    evaluation = evaluate(model, tokenizer, EvaluateConfig(split="test", n_ops=(2, 4, 8)))
    evaluation.summary()["by_n_ops"]["4"]["accuracy"]

The paper evaluates greedily, pass@1, by n_ops (section 4); so does the default here. Prompts come from `data.chat`, as
they do in training, and every verdict from `surfaces.verify`, as it does in rewards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.problem import Problem
from ..files.atomic import atomic_open
from ..files.parquet import import_parquet
from ..models.generation import generate
from ..records.chat import prompt_ids, prompt_messages, surface_of, token_budget
from ..records.reading import problem_of
from ..surfaces import get_surface
from ..tasks.sampling import SamplerConfig, sample_batch
from .config import DecodingConfig, EvaluateConfig
from .metrics import Row, judge, summarize

Progress = Callable[[int, int], None]
"""Told the completions finished so far and all that there will be."""
_SCAN = 20
"""Indices looked at for each distinct structure that is wanted, at most."""


@dataclass(frozen=True, slots=True)
class Item:
    """One problem under evaluation."""

    problem: Problem
    prompt: str
    surface: str
    index: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Judged completions."""

    rows: list[Row]
    """One a completion: n_ops, index, sample, structure, prompt, completion, gold, and what `metrics.judge` says."""

    def summary(self) -> dict[str, Any]:
        """`metrics.summarize` of all rows and, under `by_n_ops`, of those of each n_ops (as text: "3")."""
        sizes = sorted({row["n_ops"] for row in self.rows})
        by_n_ops = {str(n): summarize([row for row in self.rows if row["n_ops"] == n]) for n in sizes}
        return {**summarize(self.rows), "by_n_ops": by_n_ops}

    def write_completions(self, path: Path | str) -> None:
        """The rows as a Parquet file, whole or not at all. Raises `ValueError` where pyarrow is missing."""
        parquet = import_parquet()
        import pyarrow

        table = pyarrow.Table.from_pylist(self.rows, schema=_schema(pyarrow))
        with atomic_open(Path(path)) as file:
            parquet.write_table(table, file, compression="zstd")


def read_completions(path: Path | str) -> list[Row]:
    """The rows that `Evaluation.write_completions` wrote. Raises `OSError` where there is no such file."""
    return import_parquet().read_table(path).to_pylist()


def _schema(pa: Any) -> Any:
    kinds = {
        "n_ops": pa.int32(),
        "index": pa.int64(),
        "sample": pa.int32(),
        "structure": pa.string(),
        "surface": pa.string(),
        "prompt": pa.string(),
        "completion": pa.string(),
        "gold": pa.int32(),
        "answer": pa.string(),
        "correct": pa.bool_(),
        "faithful": pa.bool_(),
        "response_tokens": pa.int32(),
        "truncated": pa.bool_(),
        "granularity": pa.list_(pa.int32()),
        "stated": pa.list_(pa.int32()),
        "steps": pa.list_(pa.string()),
    }
    return pa.schema(list(kinds.items()))


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: EvaluateConfig,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """The model's completions of held-out (or training) problems, judged.

    Raises `ValueError` for a split without structures and for problems that do not fit the model's positions.
    """
    surface = surface_of(tokenizer) if config.surface == "auto" else config.surface
    render = get_surface(surface).render_problem
    items = [
        Item(problem, render(problem), surface, index)
        for n in config.n_ops
        for index, problem in distinct_problems(config.sampler(n), config.split, config.count, config.offset)
    ]
    return _evaluate(model, tokenizer, items, config.decoding(), on_progress)


def evaluate_records(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    decoding: DecodingConfig | None = None,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """The model's completions of the problems of these records (training accuracy), judged; every record counts.

    A row's `index` is the place of its record, from 0. Raises `ValueError` for a record whose problem cannot be read or
    whose `answer` is not that of its problem.
    """
    items = []
    for place, record in enumerate(records):
        try:
            problem = problem_of(record)
            surface = get_surface(record.get("surface") or "english")
        except ValueError as error:
            raise ValueError(f"record {place}: {error}") from error
        stated = record.get("answer")
        if stated is not None and str(stated) != str(problem.answer):
            raise ValueError(f"record {place}: the answer is {problem.answer}, but the record says {stated!r}")
        items.append(Item(problem, surface.render_problem(problem), surface.NAME, place))
    return _evaluate(model, tokenizer, items, decoding or DecodingConfig(), on_progress)


@lru_cache(maxsize=32)
def distinct_problems(
    sampler: SamplerConfig, split: str, count: int, offset: int = 0
) -> tuple[tuple[int, Problem], ...]:
    """(index, problem) of the first `count` items from `offset` on whose structures differ from one another.

    A small n_ops has few structures (n_ops 1 at the defaults: 44 in all splits), and the same one under other names is
    no new problem. The search ends at 20 indices for each problem wanted, or after a block of max(64, `count`) indices
    without a new structure. What was found by then is returned in the order of the indices: fewer than `count`, and the
    summary's `n` says how many. The last answers are kept, since a study asks for the same test set again and again.
    """
    found: dict[str, tuple[int, Problem]] = {}
    low, end = offset, offset + _SCAN * count
    while len(found) < count and low < end:
        block, before = range(low, min(end, low + max(64, count))), len(found)
        batch = sample_batch(sampler, split, block)
        for row, structure in enumerate(batch.structure):
            if structure not in found and len(found) < count:
                found[structure] = (block[row], batch.problem(row))
        if len(found) == before:
            break
        low = block.stop
    return tuple(found.values())


def _evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Item],
    decoding: DecodingConfig,
    on_progress: Progress | None,
) -> Evaluation:
    """The one path: prompts, completions and verdicts, one n_ops after the other."""
    rows: list[Row] = []
    total = len(items) * decoding.samples

    def tell(done: int, _: int) -> None:
        if on_progress:
            on_progress(len(rows) + done, total)

    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.problem.n_ops, []).append(item)
    for n_ops, group in groups.items():
        answered = generate(
            model,
            tokenizer,
            [prompt_ids(tokenizer, prompt_messages(i.prompt, i.problem.modulus, i.surface)) for i in group],
            max_new_tokens=decoding.max_new_tokens
            or token_budget(tokenizer, ((i.problem, i.surface) for i in group), decoding.orders),
            samples=decoding.samples,
            temperature=decoding.temperature,
            seed=_sampling_seed(decoding.seed, n_ops),
            batch_size=decoding.batch_size,
            on_progress=tell,
        )
        for item, completions in zip(group, answered, strict=True):
            for sample, completion in enumerate(completions):
                rows.append(
                    {
                        "n_ops": n_ops,
                        "index": item.index,
                        "sample": sample,
                        "structure": item.problem.structure,
                        "surface": item.surface,
                        "prompt": item.prompt,
                        "completion": completion.text,
                        "gold": item.problem.answer,
                        **judge(
                            item.problem,
                            completion.text,
                            surface=item.surface,
                            truncated=completion.truncated,
                            response_tokens=completion.n_tokens,
                        ),
                    }
                )
    return Evaluation(rows)


def _sampling_seed(seed: int, n_ops: int) -> int:
    """Another seed for every n_ops, so that place i of one does not draw what place i of another does."""
    return int.from_bytes(hashlib.sha256(f"samples|{seed}|{n_ops}".encode()).digest()[:4], "big")


__all__ = [
    "DecodingConfig",
    "EvaluateConfig",
    "Evaluation",
    "distinct_problems",
    "evaluate",
    "evaluate_records",
]
