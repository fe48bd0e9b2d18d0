"""Right solutions to start from: texts of synthetic problems in every format, and arithmetic in prose.

All of it is drawn with a `random.Random`, problems too: with constants beyond the modulus, small and large moduli, and
trees of any shape.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random

import zipthought as zt
from zipthought.core.arithmetic import BinOp, references
from zipthought.core.orders import settle
from zipthought.core.problem import Problem
from zipthought.core.trace import Step, Trace
from zipthought.tasks.names import alias_table, nouns

MODULI = (23, 23, 23, 2, 3, 5, 7, 10, 12, 97, 1009)
LENGTHS = (1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8, 12)


@dataclass(slots=True)
class Gold:
    """A right solution, and what a mutation may want to know about it."""

    kind: str
    """The surface or family."""
    text: str
    prompt: str
    answer: str
    problem: Problem | None = None
    faithful: bool = True
    """Whether the documents call the text faithful; False for `random-steps` and for solutions of a file."""
    form: str = ""
    """The format and order."""
    words: list[str] = field(default_factory=list)
    """Names that a text can mention: quantities and aliases, or units."""


def problem(rng: Random) -> Problem:
    """A chain or a tree with distractors."""
    modulus, n_ops = rng.choice(MODULI), rng.choice(LENGTHS)
    high = rng.choice((5, 5, 5, modulus + 3, 100))
    leaves = 1 if rng.random() < 0.7 else rng.randint(2, n_ops + 1)
    names = rng.sample(nouns(), n_ops + leaves + rng.randint(0, 3))
    definitions: dict[str, int | BinOp] = {name: rng.randint(1, high) for name in names[:leaves]}
    pool, joins = names[:leaves], leaves - 1
    for index in range(n_ops):
        left = pool.pop(rng.randrange(len(pool)))
        joined = joins > 0 and rng.random() < joins / (n_ops - index)
        right = pool.pop(rng.randrange(len(pool))) if joined else rng.randint(1, high)
        joins -= joined
        name = names[leaves + index]
        definitions[name] = BinOp(rng.choice("+-*"), left, right)
        pool.append(name)
    definitions |= {name: rng.randint(1, high) for name in names[n_ops + leaves :]}
    shuffled = list(definitions)
    rng.shuffle(shuffled)
    return Problem(modulus, {each: definitions[each] for each in shuffled}, names[n_ops + leaves - 1])


def _mixed(rng: Random, task: Problem) -> Trace:
    """A forward trace of several granularities; some steps show their result alone."""
    ends = [name for name in task.operations if rng.random() < 0.6 or name == task.target]
    steps = list(settle(task, ends))
    if rng.random() < 0.5:
        steps = [Step(s.name, s.sides[-1:]) if rng.random() < 0.4 else s for s in steps]
    elif len(steps) > 1:
        at = rng.randrange(len(steps) - 1)  # Two steps that do not need each other may change places.
        if at + 2 < len(steps) and steps[at].name not in references(steps[at + 1].sides[0]):
            steps[at], steps[at + 1] = steps[at + 1], steps[at]
    return Trace(tuple(steps), str(task.answer), problem=task)


def synthetic(rng: Random, surface: str, task: Problem | None = None) -> Gold:
    """A right solution of a drawn problem in `surface`, in a drawn format and order."""
    task = task or problem(rng)
    n = task.n_ops
    k = rng.randint(1, min(n + 1, 5))
    form = rng.choice(
        ("explicit", "explicit", f"composed:{k}", f"composed:{k}", f"implicit:{k}", "answer-only", "mixed", "random")
    )
    orders = ("forward", "forward", "backward", "hierarchical") if task.is_chain else ("forward",)
    order = rng.choice(orders)
    if form == "mixed":
        trace = _mixed(rng, task)
    elif form == "random":
        whole = zt.solve(task)
        kept = [s for s in whole.steps[:-1] if rng.random() < 0.7] + [whole.steps[-1]]
        trace = Trace(tuple(kept), whole.final, problem=task)
    else:
        trace = zt.compress(task, form, order=order)
    names = list(task.definitions)
    aliases = dict(zip(names, rng.sample(alias_table(), len(names)), strict=True))
    text = zt.render(trace, surface=surface, aliases=aliases)
    words = names + [alias for alias in aliases.values() if alias in text]
    prompt = zt.render_problem(task, surface=surface)
    return Gold(surface, text, prompt, str(task.answer), task, form != "random", f"{form} {order}", words)


def _shown(rng: Random, value: Fraction, money: bool = False) -> str:
    """A number as prose writes it."""
    if value.denominator == 1:
        digits = f"{value.numerator:,}" if rng.random() < 0.3 else str(value.numerator)
    else:
        digits = f"{float(value):.4f}".rstrip("0")
    return f"${digits}" if money else digits


UNITS = ("eggs", "coins", "books", "miles", "pages", "tickets")
LINES = (
    "{who} has {e} = {r} {u}.",
    "{who} needs {e} = {n}{r} {u} in all.",
    "That makes {e} = {n}{r}.",
    "So the total is {e} = {n}{r} {u}.",
    "{e} = {r}",
    "Then {e} = {n}{r} {u} are left.",
    "The next part costs {e} = {n}{r}.",
    "{who} counts {n}{r} {u}, since {e} = {r}.",
)
FINALS = (*["#### {a}"] * 3, "The answer is {a}.", "The final answer is \\boxed{{{a}}}.", "\\boxed{{{a}}}")
SIGNS = {"+": "+++", "-": "---", "*": "***×x", "/": "//÷"}


def _operation(rng: Random, current: Fraction) -> tuple[str, Fraction, Fraction]:
    op = rng.choice("++-**/")
    if op == "+":
        other = Fraction(rng.randint(1, 400))
        return op, other, current + other
    if op == "-" and current > 1:
        other = Fraction(rng.randint(1, max(1, int(current) - 1)))
        return op, other, current - other
    if op == "/":
        other = Fraction(rng.choice([d for d in (2, 4, 5, 10, 3, 6) if (current / d * 100).denominator == 1] or [1]))
        return op, other, current / other
    other = Fraction(rng.randint(2, 12))
    return "*", other, current * other


def prose(rng: Random) -> Gold:
    """Arithmetic in prose with a question, with annotations or without."""
    annotated, current = rng.random() < 0.5, Fraction(rng.randint(2, 300))
    unit, who = rng.choice(UNITS), rng.choice(("Mara", "Tom", "She", "Lena"))
    money = rng.random() < 0.2
    given, lines = [_shown(rng, current)], []
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        op, other, result = _operation(rng, current)
        sign = rng.choice(SIGNS[op])
        left, right, value = (_shown(rng, x, money and op in "+-") for x in (current, other, result))
        plain = [x.replace(",", "").replace("$", "") for x in (left, right, value)]
        note = f"<<{plain[0]}{op}{plain[1]}={plain[2]}>>" if annotated else ""
        kind = rng.random()
        percent = rng.choice((10, 25, 50))
        if kind > 0.94 and (current * percent).denominator in (1, 2, 4, 5, 10):
            right, result = f"{percent}%", current * percent / 100
            lines.append(f"{who} sells {percent}% of {plain[0]} = {_shown(rng, result)}.")
        elif kind > 0.88 and plain[2].isdigit():
            more = rng.randint(2, 9)
            result *= more
            lines.append(f"So ({plain[0]} {op} {plain[1]}) * {more} = {_shown(rng, result)} {unit}.")
            given.append(str(more))
        elif kind < 0.12 and op in "+-" and not money:
            lines.append(f"{who} has {left} {unit} {sign} {right} {unit} = {value} {unit}.")
        elif kind < 0.2 and op in "*/":
            latex = f"\\frac{{{plain[0]}}}{{{plain[1]}}}" if op == "/" else f"{plain[0]} \\times {plain[1]}"
            lines.append(f"We get ${latex} = {plain[2]}$.")
        elif kind < 0.25:
            lines.append(f"So {left} {sign} {right} equals {value}.")
        else:
            space = rng.choice((" ", " ", "")) if sign != "x" else " "
            expression = f"{left}{space}{sign}{space}{right}"
            shape = rng.choice(LINES)
            lines.append(shape.format(who=who, e=expression, r=value, u=unit, n=note))
        given.append(right)
        current = result
    answer = _shown(Random(0), current).replace(",", "")
    final = rng.choice(FINALS).format(a=_shown(rng, current) if rng.random() < 0.5 else answer)
    question = f"{who} starts with {given[0]} {unit} and meets {', '.join(given[1:])}. How many are there?"
    joint = rng.choice(("\n", "\n", " ")) if all(line[-1] == "." for line in lines) else "\n"
    return Gold("gsm8k", joint.join(lines) + "\n" + final, question, answer, words=[unit, who], form="prose")


def countdown(rng: Random) -> Gold:
    """A numbers game with its solution."""
    start = rng.randint(1, 60)
    table, current, lines = [start], start, []
    for _ in range(rng.randint(1, 4)):
        op = rng.choice("+-*")
        other = rng.randint(1, 60 if op == "+" else 9)
        if op == "-" and other >= current:
            op = "+"
        result = current + other if op == "+" else current - other if op == "-" else current * other
        lines.append(f"{current} {op} {other} = {result}")
        table.append(other)
        current = result
    table += [rng.randint(1, 60) for _ in range(rng.randint(0, 1))]
    rng.shuffle(table)
    question = f"Using the numbers {table}, create an equation that equals {current}."
    return Gold("countdown", "\n".join([*lines, f"#### {current}"]), question, str(current), form="countdown")


@lru_cache
def solutions_of(path: str) -> tuple[Gold, ...]:
    """The solutions of a file of JSON Lines with `question` and `answer`, as GSM8K has them; not all of them verify."""
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    parts = [
        (row["question"], row["answer"], row["answer"].rpartition("####")[2].strip().replace(",", "")) for row in rows
    ]
    return tuple(Gold("gsm8k", text, question, answer, faithful=False, form=path) for question, text, answer in parts)


def gold(rng: Random, kind: str, solutions: str | None = None) -> Gold:
    """A right solution of that surface or family; half of those of `gsm8k` from a file, where one is named."""
    if kind == "gsm8k" and solutions and rng.random() < 0.5:
        return rng.choice(solutions_of(solutions))
    if kind == "countdown":
        return countdown(rng)
    return prose(rng) if kind == "gsm8k" else synthetic(rng, kind)
