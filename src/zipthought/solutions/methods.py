"""How compression methods write real solutions: one `SolutionWriter` for each method, found by the method's name.

    compress_solution(gsm8k.read(question, text), "composed:2")

A method without a writer exists for generated problems only. Another package adds one with a single registration:

    WRITERS.register(SolutionWriter(MyMethod, write_my_method, example="my-method:3"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.methods import (
    AnswerOnly,
    Composed,
    FixedMethod,
    Implicit,
    Method,
    RandomSteps,
    StepEntropy,
    TokenSurprisal,
    Truncated,
)
from ..core.methods.scored import TokenScore
from ..core.pieces import count_pieces
from ..core.problem import Problem
from ..core.registry import Registry
from ..core.trace import Step
from .composing import compose
from .dropping import truncated, without_certain_steps, without_certain_tokens, without_random_steps
from .implying import hide
from .pruning import Pruned, prune
from .rewrites import Rewrite
from .sentences import trace_end
from .solution import Solution
from .traces import is_sound


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """What a writer can use beside the solution and the method."""

    seed: str = ""
    """The seed of random choices. `compress_file` gives each record its own."""
    count: Callable[[str], int] = count_pieces
    """Counts the tokens of a text; by default words and punctuation marks."""
    tokenizer: Any = None
    """The loaded `tokenizers.Tokenizer`; None if the user named none."""
    rewrites: Mapping[str, str] = field(default_factory=dict)
    """Format `rewrite:NAME` -> the accepted rewrite of this solution (`compress.Rewriter`)."""
    scores: Sequence[TokenScore] | None = None
    """The tokens of the solution's text and tail, as a language model reads them; None if no format needs them."""

    def scored(self, method: Method) -> Sequence[TokenScore]:
        """The scores, which a method needs. Raises `ValueError` if there are none."""
        if self.scores is None:
            raise ValueError(f"format {str(method)!r} needs a model that scores tokens; give one with --model")
        return self.scores


@dataclass(frozen=True, slots=True)
class SolutionWriter:
    """How one method writes a real solution."""

    method: type[Method]
    write: Callable[[Solution, Any, WriteContext], str]
    """``write(solution, method, context)``: the compressed text, with the final answer of the solution."""
    example: str
    """A format of the method, such as ``composed:2``, for messages and tests."""
    tested: bool = False
    """Whether tests hold that every text verifies. `compress_file` checks each text of other writers: its answer, and
    its steps if the method is faithful."""
    whole_sentences: bool = True
    """Whether the text consists of whole sentences, so that its equations can be read."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """The name of the method."""
        return self.method.NAME


WRITERS: Registry[SolutionWriter] = Registry("format of real solutions", ("method", "write", "example"))


def parse_solution_method(text: str) -> Method:
    """The method of a format that real solutions have.

    Raises `ValueError` with the formats that exist, or with the fault of the parameter.
    """
    name, colon, parameter = text.partition(":")
    method = WRITERS[name].method.parse(parameter if colon else None) if name in WRITERS else None
    if method is None or method.NAME not in WRITERS:
        examples = ", ".join(writer.example for writer in WRITERS.values())
        raise ValueError(f"real solutions have no format {text!r}; use one like {examples} (prose is the original)")
    return method


def compress_solution(solution: Solution, method: str | Method, context: WriteContext | None = None) -> str:
    """The text of a solution in a format. Its final answer stays as it is. A thinking trace stays as a whole if a wrong
    equation would be left without the one that corrects it.

    Raises `ValueError` for a format that real solutions do not have.
    """
    method = parse_solution_method(method) if isinstance(method, str) else method
    writer = WRITERS.find(method.NAME)
    text = writer.write(solution, method, context or WriteContext())
    is_right = not writer.whole_sentences or not trace_end(text) or is_sound(text)
    return solution.notate(text) if is_right else solution.whole


@dataclass(frozen=True, slots=True)
class Prose(FixedMethod):
    """The original text of a real solution, a baseline."""

    NAME = "prose"
    baseline = True

    @property
    def k(self) -> int:
        return 0

    def granularity(self, n_ops: int) -> int:
        """0, because the text is not grouped into steps."""
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError("prose is the text of a real solution; a generated problem has none")


def _write_composed(solution: Solution, method: Composed, context: WriteContext) -> str:
    return solution.assemble(compose(solution, solution.groups(method.k)))


def _write_implicit(solution: Solution, method: Implicit, context: WriteContext) -> str:
    return solution.assemble({index: hide(solution, index) for index in solution.groups(method.k)})


def _write_pruned(solution: Solution, method: Pruned, context: WriteContext) -> str:
    return prune(solution, method.k)


def _write_answer(solution: Solution, method: AnswerOnly, context: WriteContext) -> str:
    return solution.statement


def _write_prose(solution: Solution, method: Prose, context: WriteContext) -> str:
    return solution.text + solution.tail


def _write_rewrite(solution: Solution, method: Rewrite, context: WriteContext) -> str:
    if (text := context.rewrites.get(str(method))) is None:
        raise ValueError(f"format {str(method)!r} needs a model: zipthought compress --model NAME --endpoint ADDRESS")
    return solution.notate(text)


def _write_random_steps(solution: Solution, method: RandomSteps, context: WriteContext) -> str:
    return without_random_steps(solution, method.share, context.count, context.seed)


def _write_truncated(solution: Solution, method: Truncated, context: WriteContext) -> str:
    return truncated(solution, method.share, context.count)


def _write_steps(solution: Solution, method: StepEntropy, context: WriteContext) -> str:
    return without_certain_steps(solution, method.share, context.count, context.scored(method))


def _write_tokens(solution: Solution, method: TokenSurprisal, context: WriteContext) -> str:
    return without_certain_tokens(solution, method.share, context.scored(method))


for _writer in (
    SolutionWriter(Composed, _write_composed, "composed:2", tested=True),
    SolutionWriter(Implicit, _write_implicit, "implicit:2", tested=True),
    SolutionWriter(Pruned, _write_pruned, "pruned:1", tested=True),
    SolutionWriter(AnswerOnly, _write_answer, "answer-only", tested=True),
    SolutionWriter(RandomSteps, _write_random_steps, "random-steps:0.6", tested=True),
    SolutionWriter(Truncated, _write_truncated, "truncated:0.6", tested=True),
    SolutionWriter(StepEntropy, _write_steps, "steps:0.6", tested=True),
    SolutionWriter(TokenSurprisal, _write_tokens, "tokens:0.6", tested=True, whole_sentences=False),
    SolutionWriter(Prose, _write_prose, "prose", tested=True),
    SolutionWriter(Rewrite, _write_rewrite, "rewrite:draft"),
):
    WRITERS.register(_writer)
