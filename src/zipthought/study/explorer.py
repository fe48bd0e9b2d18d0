"""Problems of the report's trace explorer: gold traces, and the completions of a study's models, verified step by
step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.compress import compress
from ..core.methods import parse_method
from ..evaluation.metrics import JudgedCompletion
from ..report.data import ExplorerCompletion, ExplorerProblem
from ..surfaces import count_pieces, get_surface, verify
from .cells import SFTCell
from .problems import held_out_problem
from .snapshot import Snapshot
from .spec import StudySpec

EXPLORED = 8
"""Problems of an experiment in the trace explorer, over all its lengths; at least one of each length."""


def sft_problems(
    study: Snapshot, experiment: str, cells: Sequence[SFTCell], seed: int, label: Callable[[SFTCell], str] | None = None
) -> list[ExplorerProblem]:
    """The first held-out problems of each length, with the completions of the models of one seed.

    Only the smallest and the largest runs are shown: those with the fewest and with the most examples, or updates on
    the same examples. `label` names a model beyond its format and examples.
    """
    cells = [cell for cell in cells if cell.seed == seed]
    sizes = [(cell.examples, cell.steps) for cell in cells]
    shown = [cell for cell, size in zip(cells, sizes, strict=True) if size in (min(sizes), max(sizes))]
    written = [(cell, study.completions(cell.digest)) for cell in shown]
    if not written:
        return []
    formats = list(dict.fromkeys(cell.format for cell in shown))
    return [
        explored(
            study.spec,
            experiment,
            n_ops,
            index,
            formats,
            [
                verified(study.spec, completion, cell.format, cell.examples, label(cell) if label else "")
                for cell, completions in written
                for completion in completions
                if (completion.n_ops, completion.index) == (n_ops, index)
            ],
        )
        for n_ops, index in first_of_each_length(written[0][1])
    ]


def first_of_each_length(completions: Sequence[JudgedCompletion]) -> list[tuple[int, int]]:
    """(n_ops, index) of the first problems of each length, at most about `EXPLORED`."""
    keys = sorted({(completion.n_ops, completion.index) for completion in completions})
    lengths = sorted({n_ops for n_ops, _ in keys})
    each = max(1, EXPLORED // len(lengths)) if lengths else 0
    return [key for n_ops in lengths for key in [key for key in keys if key[0] == n_ops][:each]]


def explored(
    spec: StudySpec,
    experiment: str,
    n_ops: int,
    index: int,
    formats: Sequence[str],
    generated: list[ExplorerCompletion],
) -> ExplorerProblem:
    """A held-out problem with its gold trace in each of `formats` that need no model."""
    problem, aliases = held_out_problem(spec.sampler(n_ops), spec.split, index)
    surface = get_surface(spec.surface)
    texts = [(fmt, surface.render(compress(problem, fmt), aliases)) for fmt in formats if not parse_method(fmt).needs]
    return ExplorerProblem(
        id=f"{experiment}-{spec.split}-{n_ops}-{index}",
        n_ops=n_ops,
        prompt=surface.render_problem(problem),
        gold=[(fmt, text, count_pieces(text)) for fmt, text in texts],
        generated=generated,
    )


def verified(
    spec: StudySpec, completion: JudgedCompletion, fmt: str, examples: int, label: str = ""
) -> ExplorerCompletion:
    """A completion with the verdict on each of its steps."""
    problem, _ = held_out_problem(spec.sampler(completion.n_ops), spec.split, completion.index)
    verdict = verify(completion.completion, problem, spec.surface)
    texts = get_surface(spec.surface).sentences(completion.completion)
    return ExplorerCompletion(
        format=fmt,
        examples=examples,
        text=completion.completion,
        answer_verdict=verdict.answer,
        faithful=verdict.faithful,
        steps=[
            (text, step.verdict, step.granularity, step.form) for text, step in zip(texts, verdict.steps, strict=True)
        ],
        label=label,
    )
