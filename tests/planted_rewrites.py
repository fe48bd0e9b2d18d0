"""Rewrites with planted faults, for `test_rewrite.py`: good rewrites of real solutions, each with one fault."""

import random
import re
from fractions import Fraction

from zipthought.solutions.equations import Equation
from zipthought.solutions.expressions import read_expression
from zipthought.solutions.gsm8k import write_number
from zipthought.solutions.tokens import tokenize

NUMBER = re.compile(r"\.?\d+(?:,\d{3})*(?:\.\d+)?")
FINAL = re.compile(r"#### .*\Z")
OTHER = (1, -1, 10, -2, 100)
WORDS = ("three", "seven", "twelve", "forty", "half", "twice")


def draft(solution):
    """A draft of a solution: the equations that the answer depends on, one a line. None if they are not plain."""
    steps = solution.steps
    answers = [index for index, step in enumerate(steps) if solution.is_answer(step)]
    if not answers or answers[-1] != len(steps) - 1 or not all(isinstance(step.equation, Equation) for step in steps):
        return None
    needed, waiting = set(), [answers[-1]]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [source for source in steps[index].sources if source is not None]
    lines = {index: line(steps[index].equation) for index in sorted(needed)}
    return lines if None not in lines.values() else None


def line(equation, changed=None):
    """An equation in plain digits; with `changed` numbers, its result worked out again."""
    values = list(equation.values)
    for place, value in (changed or {}).items():
        values[place] = value
    if any(value.denominator != 1 or value < 0 for value in values):
        return None

    def write(tree, outer=""):
        if isinstance(tree, str):
            return str(values[int(tree)]), values[int(tree)]
        (left, a), (right, b) = write(tree.left, tree.op), write(tree.right, tree.op + "r")
        if tree.op == "/" and (not b or a % b):
            raise ZeroDivisionError
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[tree.op]
        text = f"{left} {tree.op} {right}"
        return (f"({text})" if outer else text), value

    try:
        text, value = write(equation.tree)
    except ZeroDivisionError:
        return None
    return f"{text} = {value}"


def another(rng, written, known=()):
    """Another number than the one that is written; now and then one that the question has."""
    value = written.replace(",", "")
    choices = [str(int(value) + by) for by in OTHER] if value.isdigit() else [f"{value}5"]
    choices += [write_number(number) for number in known if number.denominator == 1]
    others = {choice for choice in choices if Fraction(choice) != Fraction(value) and not choice.startswith("-")}
    return rng.choice(sorted(others))


def changed_number(rng, solution, text):
    """One number before the final answer is another one."""
    places = list(NUMBER.finditer(text, 0, FINAL.search(text).start()))
    place = rng.choice(places)
    new = another(rng, place[0], list(solution.given))
    return text[: place.start()] + new + text[place.end() :]


def changed_everywhere(rng, solution, lines):
    """A number of the question is another one in an equation that still holds, and in all that follow from it."""
    index = rng.choice(sorted(lines))
    equation = solution.steps[index].equation
    place = rng.randrange(len(equation.values))
    new = line(equation, {place: equation.values[place] + rng.choice((1, 2, 5))})
    if new is None:
        return None
    results = {index: int(new.rpartition("= ")[2])}
    out = dict(lines)
    out[index] = new
    for later in sorted(lines):
        step = solution.steps[later]
        moved = {slot: results[source] for slot, source in enumerate(step.sources) if source in results}
        if later > index and moved:
            made = line(step.equation, moved)
            if made is None:
                return None
            results[later], out[later] = int(made.rpartition("= ")[2]), made
    if rng.random() < 0.5:
        return "\n".join(out.values())
    out[max(lines)] = out[max(lines)] if index == max(lines) else lines[max(lines)]
    return "\n".join(out.values())


def dropped_premise(rng, solution, lines):
    """A line is missing whose result a later one uses."""
    if len(lines) < 2:
        return None
    gone = rng.choice(sorted(lines)[:-1])
    twins = [sorted(solution.steps[index].equation.values) for index in lines]
    if twins.count(sorted(solution.steps[gone].equation.values)) > 1:
        return None  # Another line may say the same.
    return "\n".join(text for index, text in lines.items() if index != gone)


def hidden_result(rng, solution, text):
    """The first expression in brackets is its value, which nothing states."""
    groups = [match for match in re.finditer(r"\(([^()<>]+)\)", text) if re.fullmatch(r"[\d\s.*/+-]+", match[1])]
    groups = [match for match in groups if re.search(r"[*/+-]", match[1])]
    if not groups:
        return None
    inner = rng.choice(groups)[1]
    read = read_expression(tokenize(inner))
    if read is None or read.value is None or isinstance(read.tree, str):
        return None
    value = write_number(read.value)
    if "/" in value or read.value in {step.equation.result for step in solution.steps if stated(step, text)}:
        return None  # 6 * (2/3) is 6 * 2/3.
    squeezed = inner.replace(" ", "")
    return text.replace(f"({inner})", value).replace(f"({squeezed})", value)


def stated(step, text):
    """Whether a text may have the result of a step behind a ``=``."""
    return re.search(rf"= ?\$?{re.escape(write_number(step.equation.stated.value))}(?![\d.])", text.replace(",", ""))


def another_final(rng, solution, text):
    match = FINAL.search(text)
    number = NUMBER.search(text, match.start())
    new = another(rng, number[0], list(solution.given)) if number else "7"
    return text[: match.start()] + f"#### {new}"


def swapped_operator(rng, solution, text):
    places = list(re.finditer(r"(?<=\d) ([+*/-]) (?=\d)|(?<=\d)([+*/-])(?=\d)", text))
    if not places:
        return None
    place = rng.choice(places)
    old = place[1] or place[2]
    new = place[0].replace(old, rng.choice([op for op in "+-*/" if op != old]))
    return text[: place.start()] + new + text[place.end() :]


def extra_equation(rng, solution, text):
    """An equation that holds, of which the solution knows nothing; or of a result that it has, worked out otherwise."""
    start = rng.choice([0, FINAL.search(text).start()])
    whole = [step.equation.result for step in solution.steps if step.equation.result]
    whole = [value for value in whole if value.denominator == 1 and value > 1]
    a, b = rng.randrange(13, 90), rng.randrange(2, 9)
    made = f"{a} * {b} = {a * b}\n"  # Of no solution: its result would be one of the solution.
    if Fraction(a * b) in whole:
        return None
    if whole and rng.random() < 0.7:
        value = rng.choice(whole)
        own = {tuple(sorted(step.equation.values)) for step in solution.steps}
        ways = {(1, value - 1): f"{value - 1} + 1", (0, value): f"{value} + 0", (2, 2 * value): f"{2 * value} / 2"}
        made = rng.choice([f"{way} = {value}\n" for numbers, way in ways.items() if tuple(sorted(numbers)) not in own])
    return text[:start] + made + text[start:]


def words_that_contradict(rng, solution, text):
    """A sentence before the final answer states another number."""
    start = FINAL.search(text).start()
    answer = write_number(solution.final)
    new = another(rng, answer, list(solution.given)) if answer.isdigit() else "7"
    made = rng.choice(
        [
            f"So the answer is {new}.",
            f"This makes {new} in all.",
            f"In total: {rng.choice(WORDS)} of them.",
            f"x = {new}",
        ]
    )
    return f"{text[:start]}{made}\n{text[start:]}"


def stated_twice(rng, solution, text):
    """The result of an equation is followed by another value of it."""
    places = list(re.finditer(r"= \$?(\d+)(?=\n|\.\n)", text))
    if not places:
        return None
    place = rng.choice(places)
    new = another(rng, place[1])
    return text[: place.end()] + rng.choice([f" = {new}", f", or {new}", f". It is {new}"]) + text[place.end() :]


def number_in_words(rng, solution, text):
    """An operand is a word."""
    places = list(re.finditer(r"(?<![\d.,<(*/+-])\d+(?= [+*/-] )", text))
    if not places:
        return None
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(WORDS) + text[place.end() :]


def two_finals(rng, solution, text):
    answer = write_number(solution.final)
    new = another(rng, answer) if answer.isdigit() else "7"
    return text + rng.choice([f"\n#### {new}", f" or {new}", f"\nWait, it is {new}.", f"\nThe answer is {new}."])


OF_TEXTS = (
    changed_number, hidden_result, another_final, swapped_operator, extra_equation, words_that_contradict, stated_twice,
    number_in_words, two_finals,
)  # fmt: skip
"""Faults of any text: ``fault(rng, solution, text)`` is the text with the fault, or None."""
OF_DRAFTS = (changed_everywhere, dropped_premise)
"""Faults of a draft: ``fault(rng, solution, lines)`` is its text with the fault, without its final answer."""


def planted(rng, solution, text, lines):
    """(name of the fault, the text with it) of a good rewrite `text` and a draft."""
    final = f"\n#### {write_number(solution.final)}"
    for fault in OF_TEXTS:
        for good in filter(None, (text, "\n".join(lines.values()) + final if lines else None)):
            if FINAL.search(good) and (bad := fault(rng, solution, good)) is not None and bad != good:
                yield fault.__name__, bad
    for fault in OF_DRAFTS if lines else ():
        if (bad := fault(rng, solution, lines)) is not None:
            yield fault.__name__, bad + final


__all__ = ["draft", "planted", "random"]
