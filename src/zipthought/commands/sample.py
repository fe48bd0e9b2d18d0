"""``zipthought sample``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import atomic_files, refuse_directories, refuse_overwrite
from ..files.earlier import is_sampled
from ..files.hub import on_disk
from ..sampling.config import KEEP, PAIRS, SampleConfig
from ..solutions.layouts import Reading
from .console import console, echo, print_json, print_table, progress
from .evaluate_data import name_skipped, read
from .outputs import model_files

if TYPE_CHECKING:
    from ..evaluation.questions import Question
    from ..sampling.cache import Cache
    from ..sampling.sources import AnswerSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """Who answers, and how much is asked."""

    endpoint: str = ""
    """The address of an endpoint with the chat API of OpenAI, such as http://localhost:8000/v1. A key is read from the
    environment variable OPENAI_API_KEY."""
    backend: str = ""
    """A local model instead: native, transformers or vllm (see `zipthought evaluate --help`)."""
    budget_tokens: int = 0
    """Nothing more is asked when this many tokens were generated, earlier answers included; 0: no limit."""
    concurrency: int = 16
    """Requests to an endpoint at the same time."""
    timeout: float = 300.0
    """Seconds that an endpoint has for an answer before it is asked again."""
    batch_size: int = 64
    """Solutions that a local model generates at the same time."""
    device: str = "auto"
    """auto, cpu or cuda, of a local model."""

    def __post_init__(self) -> None:
        if bool(self.endpoint) == bool(self.backend):
            raise ValueError("give --endpoint with an address, or --backend for a local model")
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"--endpoint is an address such as http://localhost:8000/v1, got {self.endpoint!r}")
        if self.budget_tokens < 0 or min(self.concurrency, self.batch_size) < 1 or self.timeout <= 0:
            raise ValueError(
                "--budget-tokens must not be negative, --concurrency and --batch-size at least 1 and --timeout above 0"
            )

    def source(self, config: SampleConfig, has: Callable[[str], bool]) -> AnswerSource:
        """What answers. `has` says which keys have an answer already."""
        from ..sampling.sources import Endpoint, Local

        if self.endpoint:
            return Endpoint(self.endpoint, config, has, self.concurrency, self.timeout)
        from ..models.backends import open_backend

        return Local(open_backend(self.backend, config.model, self.device), config, self.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepOptions:
    """What is written."""

    output: Path
    """The .jsonl file of the kept solutions, records as `zipthought generate` writes them."""
    keep: str = "all"
    """all; correct (a right final answer, not truncated); faithful (every step verified, too); or shortest, the
    shortest correct one of each question. Equal texts of a question are kept once."""
    pairs: str = ""
    """Preference pairs for DPO: short-long (the shortest right solution against the longest right one) or right-wrong
    (the shortest right one against the first wrong one)."""
    pairs_output: Path | None = None
    """The .jsonl file of the pairs."""
    cache: Path | None = None
    """The SQLite file of all answers; by default OUTPUT.cache. No answer in it is asked for again, also after a
    stop."""
    overwrite: bool = False
    """Replace existing files that zipthought did not write, too."""

    def __post_init__(self) -> None:
        if self.keep not in KEEP:
            raise ValueError(f"unknown --keep {self.keep!r}; use {', '.join(KEEP)}")
        if self.pairs and self.pairs not in PAIRS:
            raise ValueError(f"unknown --pairs {self.pairs!r}; use {', '.join(PAIRS)}")
        if bool(self.pairs) != (self.pairs_output is not None):
            raise ValueError("--pairs needs --pairs-output, and the other way round")
        if len({*self.outputs, self.cache_file}) < len(self.outputs) + 1:
            raise ValueError("the outputs and the cache must be different files")

    @property
    def outputs(self) -> list[Path]:
        return [self.output, *([self.pairs_output] if self.pairs_output else [])]

    @property
    def cache_file(self) -> Path:
        return self.cache or self.output.with_name(f"{self.output.name}.cache")


def sample(
    config: SampleConfig,
    data: Path,
    kept: KeepOptions,
    asking: AskOptions,
    *,
    limit: int = 0,
    modulus: int = 23,
    reading: Reading = Reading(),  # noqa: B008
    json: bool = False,
) -> int:
    """Sample solutions of a model, judge each, and keep some.

    Args:
        config: What the model is asked for.
        data: The questions: a file that `zipthought verify` reads. A record needs a question and its right answer.
        kept: What is written.
        asking: Who answers.
        limit: The first so many records of the file; 0 means all.
        modulus: That of problems whose record has none.
        reading: Where the records have their texts.
        json: Print the counts as one object on standard output.
    """
    from ..sampling.cache import open_cache
    from ..sampling.run import ask

    if limit < 0:
        raise ValueError(f"limit must be at least 0, got {limit}; 0 means all records")
    files = [*kept.outputs, kept.cache_file]
    refuse_directories(files)
    inputs = [on_disk(data), *([reading.layout_file] if reading.layout_file else [])]
    refuse_overwrite(files, [*inputs, *(model_files(config.model) if asking.backend else [])])
    found = read(data, reading, modulus, limit)
    with open_cache(kept.cache_file) as answers:
        with progress() as bar:
            task = bar.add_task("sample", total=None, note="")
            asked = ask(
                found.questions,
                config,
                asking.source(config, answers.__contains__),
                answers,
                asking.budget_tokens,
                lambda p: bar.update(task, completed=p.answered, total=p.wanted, note=f"{p.tokens:,} tokens"),
            )
        counts = _write(found.questions, config, answers, kept)
    name_skipped(data, found.skipped)
    report = {
        "questions": len(found.questions),
        "skipped": len(found.skipped),
        "wanted": asked.wanted,
        "answered": asked.answered,
        "tokens": asked.tokens,
        "tokens_estimated": asked.estimated,
        "failed": dict(asked.failures),
        **counts,
    }
    _report(report, kept.output, json)
    return 0 if asked.answered == asked.wanted else 1


def _write(questions: Sequence[Question], config: SampleConfig, answers: Cache, kept: KeepOptions) -> dict[str, int]:
    """Write the kept solutions and the pairs; the counts."""
    from ..sampling.run import is_right, judged, line, pair_of, record_of

    counts: Counter[str] = Counter()
    with atomic_files() as open_file:
        files = [open_file(path, kept.overwrite or is_sampled(path)) for path in kept.outputs]
        for sampled in judged(questions, config, answers):
            counts["solutions"] += len(sampled.solutions)
            if len(sampled.solutions) > 1:
                counts["several"] += 1
                counts["one_text"] += len(sampled.kept("all")) == 1
            counts["correct"] += sum(map(is_right, sampled.solutions))
            counts["faithful"] += sum(one.faithful and not one.truncated for one in sampled.solutions)
            counts["truncated"] += sum(one.truncated for one in sampled.solutions)
            for one in sampled.kept(kept.keep):
                files[0].write(line(record_of(sampled.question, one, config.model)))
                counts["kept"] += 1
            if kept.pairs and (row := pair_of(sampled, kept.pairs)):
                files[1].write(line(row))
                counts["pairs"] += 1
    names = ["solutions", "several", "one_text", "correct", "faithful", "truncated", "kept"]
    names += ["pairs"] if kept.pairs else []
    return {name: counts[name] for name in names}


def _report(report: dict[str, Any], output: Path, json: bool) -> None:
    for reason, count in report["failed"].items():
        console.print(f"{count} answers failed: {reason}", markup=False, soft_wrap=True)
    missing = report["wanted"] - report["answered"]
    if missing:
        console.print(f"{missing} of {report['wanted']} answers are missing; the same command asks for them")
    if report["one_text"] and 2 * report["one_text"] > report["several"]:
        console.print(
            f"all samples of {report['one_text']} questions are the same text: the endpoint may not sample "
            "(transformers serve needs do_sample in the generation configuration of the model)"
        )
    if json:
        print_json(report)
        return
    names = ("questions", "skipped", "answered", "tokens", "correct", "faithful", "truncated", "kept", "pairs")
    print_table(str(output), [{"what": name, "number": f"{report[name]:,}"} for name in names if name in report])
    if report["tokens_estimated"]:
        echo(f"the tokens of {report['tokens_estimated']} answers are estimated: the endpoint did not state them")
