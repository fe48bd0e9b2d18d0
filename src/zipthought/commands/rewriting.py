"""The options of ``zipthought compress`` for the formats ``rewrite:NAME``, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import refuse_directories, refuse_overwrite
from ..files.hub import on_disk
from ..sampling.config import SampleConfig
from ..solutions.compress import CompressConfig, token_counter
from ..solutions.rewrites import Rewrite
from .console import console, print_table
from .outputs import model_files
from .sample import AskOptions

if TYPE_CHECKING:
    from ..rewriting.run import ModelRewriter, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions(AskOptions):
    """Of rewrite:NAME: who rewrites, how often it is asked, and what is accepted."""

    attempts: int = 3
    """How often a solution is rewritten until a rewrite is accepted. From the second time on the model is told why."""
    temperature: float = 0.7
    """Of each attempt; every attempt has its own seed."""
    max_new_tokens: int = 1024
    """Limit of the tokens of a rewrite."""
    implicit: bool = False
    """Accept rewrites that state a result of the solution without its operation, too."""
    cache: Path | None = None
    """The SQLite file of all answers; by default OUTPUT.cache. No answer in it is asked for again, also after a
    stop."""

    def __post_init__(self) -> None:
        if self.endpoint or self.backend:
            AskOptions.__post_init__(self)  # `super()` does not work in a dataclass with slots.
        if self.attempts < 1:
            raise ValueError(f"--attempts must be at least 1, got {self.attempts}")


@contextmanager
def open_rewriter(
    config: CompressConfig, options: RewriteOptions, on_progress: Callable[[Tally], None]
) -> Iterator[ModelRewriter | None]:
    """What rewrites the solutions; None if no format needs it.

    Raises `ValueError` for a missing model, an unknown prompt, and a cache that is an input or no cache.
    """
    methods = [method for method in config.parsed_formats if isinstance(method, Rewrite)]
    if not methods:
        if options.endpoint or options.backend:
            raise ValueError("--endpoint and --backend are for the format rewrite:NAME, which --format does not have")
        yield None
        return
    from ..rewriting.judge import Judge
    from ..rewriting.prompts import prompt_file, read_prompt
    from ..rewriting.run import ModelRewriter
    from ..sampling.cache import open_cache

    for method in methods:
        read_prompt(method.prompt)
    AskOptions.__post_init__(options)
    asked = SampleConfig(
        model=config.model,
        samples=1,
        temperature=options.temperature,
        max_new_tokens=options.max_new_tokens,
        seed=config.seed,
    )
    cache = options.cache or config.output.with_name(f"{config.output.name}.cache")
    outputs = [*map(config.path, config.parsed_formats), config.rejects_path]
    prompts = [prompt_file(method.prompt) for method in methods]
    read = [on_disk(config.input), *prompts, *(model_files(config.model) if options.backend else [])]
    refuse_overwrite([cache], outputs)
    refuse_overwrite([cache, *outputs], read)
    refuse_directories([cache])
    with open_cache(cache) as answers:
        yield ModelRewriter(
            asked,
            options.source(asked, answers.__contains__),
            answers,
            Judge(config, token_counter(config.tokenizer), options.implicit),
            attempts=options.attempts,
            budget=options.budget_tokens,
            on_progress=on_progress,
        )


def print_rewrites(rewrites: dict[str, Any]) -> None:
    """A table of the attempts, and what went wrong."""
    for reason, count in rewrites["failed"].items():
        console.print(f"{count} requests failed: {reason}", markup=False, soft_wrap=True)
    rows = [
        {"what": f"accepted in attempt {n}", "number": f"{k:,}"} for n, k in rewrites["accepted_in_attempt"].items()
    ]
    rows += [{"what": f"refused, {reason}", "number": f"{k:,}"} for reason, k in rewrites["refused"].items()]
    rows += [{"what": name, "number": f"{rewrites[name]:,}"} for name in ("answers", "tokens")]
    print_table(f"{rewrites['accepted']} of {rewrites['solutions']} solutions rewritten", rows)
    if rewrites["tokens_estimated"]:
        console.print(f"the tokens of {rewrites['tokens_estimated']} answers are estimated")
