"""Whether a rewrite of a solution is accepted, and if not, why.

A rewrite is accepted if all of this holds:

- it is read whole, every equation holds, and its final answer is that of the source, in the same form;
- each equation works out a result of the source in the same way (`derivations`), from numbers of the question, from
  earlier results of the rewrite, and from numbers that the source takes as given; so does the one that gives the final
  answer;
- a number outside of the equations is the result directly before it, or stands between the same words as in the
  question or in the source;
- it verifies as `zipthought verify` does it, and it is shorter than the source.

An operand that nothing gives is a hidden result. With `implicit` a rewrite may leave an operation out, if an earlier
sentence states its result: between the words of the source, or as ``eggs = 9``. Words are not judged: that a rewrite
calls 9 eggs 9 ducks is not seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice, product

from ..records.mixed import verdict_of_source
from ..solutions.compress import CompressConfig
from ..solutions.compress.reading import ReadSolution, read_text
from ..solutions.equations import CheckedEquation, Equation, HoldingEquation, span_of
from ..solutions.gsm8k import build, write_number
from ..solutions.layouts import Source
from ..solutions.options import read_options, stated_final
from ..solutions.sentences import labels
from ..solutions.solution import Solution, SolutionStep, UnreadableError
from ..solutions.tokens import Number, parse_number, tokenize
from .derivations import Derivation, of_equation, of_number, of_steps
from .mentions import Context, between, mentions

_MOST_READINGS = 64
"""Readings of an equation that are tried, where an operand may be several numbers of its value."""
_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]|\n")
_REPEATED = re.compile(r"\s*[$£€]?\d[\d.,/]*\d%?|\s*[$£€]?\d%?")
_REACH = 40
"""Characters before a number in which its name is looked for."""
_STATED = re.compile(r"([^\W\d_]+)\W{0,3}=\s*[$£€]?$")
_NUMBER = re.compile(r"=\s*[$£€]?(-?[\d.,/]*\d)")


class Original:
    """The solution that is rewritten, and what a rewrite may take from it."""

    def __init__(self, read: ReadSolution, tokens: int) -> None:
        """`tokens` is the length of the solution."""
        self.read, self.tokens = read, tokens
        self.notate: Callable[[str], str] = getattr(read.family, "notate", str)

    @property
    def solution(self) -> Solution:
        return self.read.solution

    @cached_property
    def derivations(self) -> list[Derivation]:
        return of_steps(self.solution)

    @cached_property
    def by_result(self) -> dict[Number, set[Derivation]]:
        """Result -> how the steps with this result derive it."""
        found: dict[Number, set[Derivation]] = {}
        for step, derivation in zip(self.solution.steps, self.derivations, strict=True):
            for value in _results(step.equation):
                found.setdefault(value, set()).add(derivation)
        return found

    @cached_property
    def answers(self) -> set[Derivation]:
        """How the source derives its final answer: by its last step with a number, or in a trace by any step."""
        steps = self.solution.steps
        numeric = [index for index, step in enumerate(steps) if step.equation.result is not None]
        chosen = {index for index in numeric if self.solution.is_answer(steps[index])} if self._has_trace else set()
        return {self.derivations[index] for index in chosen or numeric[-1:]}

    @property
    def _has_trace(self) -> bool:
        return "</think" in self.solution.text

    @cached_property
    def leaves(self) -> set[Number]:
        """The operands that no step derives."""
        return {
            value
            for step in self.solution.steps
            for value, source in zip(step.equation.values, step.sources, strict=True)
            if source is None
        }

    @cached_property
    def proses(self) -> set[str]:
        """What stands before the annotations of the steps, without blanks."""
        return {_prose(self.solution.text, step.equation) for step in self.solution.steps}

    @cached_property
    def _mentions(self) -> list[tuple[int | None, Context]]:
        """(sentence, context) of the numbers of the solution; the sentence is None in its end."""
        solution = self.solution
        whole = mentions(solution.text + solution.tail)
        return [(solution.sentence_at(offset), context) for offset, context in whole if _has_word(context)]

    @cached_property
    def by_derivation(self) -> dict[Derivation, set[Context]]:
        """Derivation of a step -> the numbers in the sentences with such a step."""
        in_sentence: dict[int | None, set[Context]] = {}
        for sentence, context in self._mentions:
            in_sentence.setdefault(sentence, set()).add(context)
        found: dict[Derivation, set[Context]] = {}
        for step, derivation in zip(self.solution.steps, self.derivations, strict=True):
            found.setdefault(derivation, set()).update(in_sentence.get(step.sentence, ()))
        return found

    @cached_property
    def given(self) -> set[Context]:
        """The numbers of the question, and of sentences of the solution without a step."""
        with_steps = {step.sentence for step in self.solution.steps}
        asked = {context for _, context in mentions(self.notate(self.read.source.question)) if _has_word(context)}
        return asked | {context for sentence, context in self._mentions if sentence not in with_steps}

    @cached_property
    def stated(self) -> dict[Context, set[Context]]:
        """A result of a step where its sentence states it, between the words before its equation and behind it, or
        elsewhere in the sentence -> all numbers of the sentence."""
        text = self.solution.text + self.solution.tail
        found: dict[Context, set[Context]] = {}
        for step, derivation in zip(self.solution.steps, self.derivations, strict=True):
            results, beside = set(_results(step.equation)), self.by_derivation[derivation]
            start, end = span_of(step.equation)[0], _end(text, step.equation)
            places = {between(text, start, end, value) for value in results}
            for place in places | {context for context in beside if context.number in results}:
                found.setdefault(place, set()).update(beside, {place})
        return found

    @cached_property
    def available(self) -> Counter[Context]:
        """How often the question and the solution have each number between its words."""
        text = self.solution.text + self.solution.tail
        results = [
            between(text, span_of(step.equation)[0], _end(text, step.equation), value)
            for step in self.solution.steps
            for value in set(_results(step.equation))
        ]
        asked = (context for _, context in mentions(self.notate(self.read.source.question)))
        return Counter(asked) + Counter(context for _, context in self._mentions) + Counter(results)

    def names(self, value: Number, name: str) -> bool:
        """Whether the name stands in the sentence of a step with this result."""
        sentences = {step.sentence for step in self.solution.steps if value in _results(step.equation)}
        texts = (self.solution.text[slice(*self.solution.sentences[number])].lower() for number in sentences)
        return len(name) > 1 and any(name.lower() in re.findall(r"[^\W\d_]+", text) for text in texts)


class Judge:
    """Accepts rewrites."""

    def __init__(self, config: CompressConfig, count: Callable[[str], int], implicit: bool = False) -> None:
        """`count` counts the tokens of a text; `implicit` allows results without their operations."""
        self._config, self._count, self._implicit = config, count, implicit

    def original(self, read: ReadSolution) -> Original:
        """What a solution allows its rewrites."""
        return Original(read, self._count(read.solution.whole))

    def accept(self, original: Original, answer: str) -> str:
        """The rewrite in an answer of a model: the answer without its train of thought.

        Raises `UnreadableError` if it is not accepted; its message can be told to the model.
        """
        text = _THOUGHTS.sub("", answer).strip()
        if not text:
            raise _refused("empty", "the rewrite is empty")
        made = self._read(original, text)
        self._check_unread(original, made)
        self._check_numbers(original, made, self._check_steps(original, made))
        source = original.read.source._replace(solution=text, answer=original.solution.answer)
        verdict = verdict_of_source(self._config, source, original.solution.answer)
        if not verdict.faithful:
            raise _refused("not_verified", f"the rewrite does not verify: its answer is {verdict.answer}")
        tokens = self._count(text)
        if tokens >= original.tokens:
            raise _refused("longer", f"the rewrite has {tokens} tokens, the solution has {original.tokens}")
        return text

    def _read(self, original: Original, text: str) -> Solution:
        """The solution that a rewrite is; with `implicit` it may have no steps."""
        question, right = original.read.source.question, original.solution.answer
        written = original.notate(text)
        try:
            stated = stated_final(written, read_options(question))
            if stated is None:
                raise UnreadableError("no_final_answer", f"the rewrite does not end in {original.solution.statement!r}")
            try:
                made = read_text(self._config, Source(question, text, right)).solution
            except UnreadableError as error:
                if not (self._implicit and error.reason == "no_steps"):
                    raise
                return build(original.notate(question), written[: stated.cut], written[stated.cut :])
        except UnreadableError as error:
            raise _refused(error.reason, str(error)) from error
        wanted = original.solution.notation or "hash"
        if wanted not in (made.notation, "bare"):  # A bare number is an answer after a train of thought only.
            raise _refused("other_form", f"the final answer must be written as {original.solution.statement!r}")
        return made

    def _check_unread(self, original: Original, made: Solution) -> None:
        for start in made.unread:
            match = _NUMBER.match(made.text, start)
            value = parse_number(match[1]) if match else None
            if not (self._implicit and value in original.by_result):
                line = made.text[made.text.rfind("\n", 0, start) + 1 :].partition("\n")[0]
                raise _refused("unread_equation", f"{line.strip()[:80]!r} is no equation of numbers with its result")

    def _check_steps(self, original: Original, made: Solution) -> list[set[Derivation]]:
        """Each step, and the one that gives the final answer. Returns what each step is in the source."""
        derived: list[set[Derivation]] = []
        known = set(original.derivations)
        for index, step in enumerate(made.steps):
            choices = [self._origins(original, made, index, derived, value) for value in step.equation.values]
            for value, found in zip(step.equation.values, choices, strict=True):
                if not found:
                    number = write_number(value)
                    raise _refused("hidden_result", f"uses {number}, which no equation before works out")
            readings = islice(product(*choices), _MOST_READINGS)
            kept = {of_equation(made.text, step.equation, operands) for operands in readings} & known
            if not kept or _prose(made.text, step.equation) not in {"", *original.proses}:
                raise self._unknown(original, made, step)
            derived.append(kept)
        last = [kept for kept, step in zip(derived, made.steps, strict=True) if step.equation.result is not None][-1:]
        if last and not last[0] & original.answers and not self._is_own_step(original, made):
            raise _refused("other_derivation", "the last equation is not the one that gives the final answer")
        return derived

    def _origins(
        self, original: Original, made: Solution, index: int, derived: list[set[Derivation]], value: Number
    ) -> list[Derivation]:
        """What an operand of a step can be."""
        found: set[Derivation] = set()
        for step, kept in zip(made.steps, derived, strict=False):
            if value in _results(step.equation):
                found |= kept
        if value in original.leaves or value in original.solution.given:
            found.add(of_number(value))
        if self._implicit and value in original.by_result and self._is_stated(made, index, value):
            found |= original.by_result[value]
        return sorted(found)

    def _is_stated(self, made: Solution, index: int, value: Number) -> bool:
        """Whether a sentence before a step states a number outside of the equations."""
        spans = [(span_of(step.equation)[0], _end(made.text, step.equation)) for step in made.steps]
        for number, offset in made.numbers:
            sentence = made.sentence_at(offset)
            is_earlier = sentence is not None and sentence < made.steps[index].sentence
            if number == value and is_earlier and not any(start <= offset < end for start, end in spans):
                return True
        return False

    def _unknown(self, original: Original, made: Solution, step: SolutionStep) -> UnreadableError:
        quote = " ".join(made.text[slice(*span_of(step.equation))].split())[:80]
        result = step.equation.result
        if result is not None and result not in original.by_result:
            return _refused("new_result", f"{quote!r} gives {write_number(result)}, which the solution does not have")
        return _refused("other_derivation", f"{quote!r} works its result out in another way than the solution")

    def _is_own_step(self, original: Original, made: Solution) -> bool:
        """Whether the final answer is an expression, which the question judges."""
        source = original.read.source._replace(solution=made.statement)
        verdict = verdict_of_source(self._config, source, original.solution.answer)
        return verdict.faithful and bool(verdict.granularity)

    def _check_numbers(self, original: Original, made: Solution, derived: list[set[Derivation]]) -> None:
        """The numbers outside of the equations, and those inside that are no operand and no result."""
        text = made.text + made.tail
        spans = [(*span_of(step.equation), step.equation) for step in made.steps]
        own_labels = set(labels(made.text, made.sentences).values())
        for start, end, equation in spans:
            if isinstance(equation, CheckedEquation):
                continue
            for value in _numbers_in(text, start, end):
                if value not in _numbers_of(equation):
                    quote = " ".join(text[start:end].split())[:80]
                    raise _refused("new_number", f"{quote!r} has {write_number(value)} on the way to its result")
        used: Counter[Context] = Counter()
        for offset, context in mentions(text):
            number = context.number
            is_inside = not isinstance(number, str) and any(start <= offset < end for start, end, _ in spans)
            if is_inside or any(start <= offset < end for start, end in own_labels):
                continue
            before = [(end, equation) for _, end, equation in spans if end <= offset][-1:]
            is_beside = bool(before) and not _LETTER.search(text, before[0][0], offset)  # <<9*2=18>>18
            allowed = set(_results(before[0][1])) if is_beside else set()
            if offset >= len(made.text) and original.solution.final is not None:
                allowed |= {original.solution.final, 100 * original.solution.final}
            if number in allowed:
                continue
            used[context] += 1
            is_known = context in self._contexts(original, made, derived, offset)
            if is_known and used[context] <= original.available[context]:
                continue
            if not (self._implicit and self._is_named(original, text, offset, number)):
                name = number if isinstance(number, str) else write_number(number)
                raise _refused("new_number", f"writes {name} outside of the equations; leave it out")

    def _contexts(
        self, original: Original, made: Solution, derived: list[set[Derivation]], offset: int
    ) -> set[Context]:
        """The numbers that the source has in the sentence that has an offset in the rewrite: the one with the same
        step, or if it has no step, those that are given."""
        sentence = made.sentence_at(offset)
        steps = [kept for step, kept in zip(made.steps, derived, strict=True) if step.sentence == sentence]
        if not steps and self._implicit and sentence is not None:
            start, end = made.sentences[sentence]
            own = [context for place, context in mentions(made.text) if start <= place < end]
            return original.given.union(*(original.stated.get(context, ()) for context in own))
        if not steps:
            return original.given
        return {context for kept in steps for one in kept for context in original.by_derivation.get(one, ())}

    def _is_named(self, original: Original, text: str, offset: int, number: Number | str) -> bool:
        """Whether a number is a result of the source behind a name of its sentence there: ``eggs = 9``."""
        match = _STATED.search(text[max(0, offset - _REACH) : offset])
        return match is not None and not isinstance(number, str) and original.names(number, match[1])


def _results(equation: HoldingEquation) -> Iterator[Number]:
    if equation.result is not None:
        yield from {equation.result, equation.stated.value}


def _prose(text: str, equation: HoldingEquation) -> str:
    """What stands before the annotation of an equation, without blanks; empty if it is the same expression, or there
    is none."""
    if isinstance(equation, CheckedEquation) or not (equation.annotation and equation.prose):
        return ""
    return "" if equation.prose_operands else "".join(text[slice(*equation.prose)].split())


def _has_word(context: Context) -> bool:
    """Whether a number has a word beside it and is no result."""
    nearest = (*context.before[:1], *context.after[:1])
    return context.before[:1] not in (("=",), (">",)) and any(word.isalpha() for word in nearest)


def _end(text: str, equation: HoldingEquation) -> int:
    """The offset behind an equation and the repetition of its result (``>>18``)."""
    end = span_of(equation)[1]
    match = _REPEATED.match(text, end)
    return match.end() if match else end


def _numbers_of(equation: Equation) -> set[Number]:
    """The operands and the result of an equation. A percentage is two numbers."""
    return {*equation.values, *_results(equation), *(operand.value for operand in equation.operands)}


def _numbers_in(text: str, start: int, end: int) -> list[Number]:
    """The numbers of a part of a text, without its annotations."""
    return [token.value for token in tokenize(text, start, end) if token.kind == "n"]


def _refused(reason: str, detail: str) -> UnreadableError:
    return UnreadableError(f"rewrite: {reason}", detail)
