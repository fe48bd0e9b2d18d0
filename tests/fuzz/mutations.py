"""Mutations of a solution text: grammar-aware edits, each a function of (rng, text, gold).

`mutate` stacks one to four of them. Whether the outcome is still right is for the second reader to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from .gold import Gold, gold, synthetic

Mutation = Callable[[Random, str, Gold], str]
MUTATIONS: list[Mutation] = []
SYNTHETIC: list[Mutation] = []
"""Those that need a `Problem`."""
NUMBER = re.compile(r"[0-9]+")
WORD = re.compile(r"[A-Za-z]+")


def _any(mutation: Mutation) -> Mutation:
    MUTATIONS.append(mutation)
    return mutation


def _synthetic(mutation: Mutation) -> Mutation:
    SYNTHETIC.append(mutation)
    return mutation


def _replace(rng: Random, text: str, pattern: re.Pattern[str], new: Callable[[str], str]) -> str:
    """The text with one match of a pattern replaced."""
    matches = list(pattern.finditer(text))
    if not matches:
        return text
    match = rng.choice(matches)
    return text[: match.start()] + new(match[0]) + text[match.end() :]


def _insert(rng: Random, text: str, what: str) -> str:
    """The text with something between two of its tokens."""
    places = [m.start() for m in re.finditer(r"\b|(?<=\W)", text)] or [0]
    at = rng.choice(places)
    return text[:at] + what + text[at:]


def sentences(text: str, kind: str) -> list[str]:
    """The sentences of a text with what separates them, so that joining them gives the text."""
    pattern = r"(?<=\. )|(?<=\n)" if kind in ("english", "gsm8k", "countdown") else r"(?<= \. )"
    return [part for part in re.split(pattern, text) if part]


def _sentences(rng: Random, text: str, source: Gold, edit: Callable[[list[str]], None]) -> str:
    parts = sentences(text, source.kind)
    edit(parts)
    return "".join(parts)


@_any
def change_digit(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile("[0-9]"), lambda old: rng.choice("0123456789".replace(old, "")))


@_any
def insert_digit(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile("[0-9]"), lambda old: old + rng.choice("0123456789"))


@_any
def delete_digit(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile("[0-9]"), lambda old: "")


@_any
def replace_number(rng: Random, text: str, source: Gold) -> str:
    others = NUMBER.findall(text + source.prompt) or ["1"]
    return _replace(rng, text, NUMBER, lambda old: rng.choice(others))


@_any
def replace_number_everywhere(rng: Random, text: str, source: Gold) -> str:
    numbers = NUMBER.findall(text)
    if not numbers:
        return text
    old, new = rng.choice(numbers), str(rng.randint(0, 30))
    return re.sub(rf"(?<![0-9]){old}(?![0-9])", new, text)


@_any
def shift_by_modulus(rng: Random, text: str, source: Gold) -> str:
    modulus = source.problem.modulus if source.problem else 10
    shift = rng.choice((modulus, 2 * modulus))
    return _replace(rng, text, NUMBER, lambda old: str(int(old[:9]) + shift))


@_any
def lengthen_number(rng: Random, text: str, source: Gold) -> str:
    longer = (lambda old: old + "1" * 40, lambda old: "0" * 30 + old, lambda old: old + "." + "0" * 40 + "1")
    more = (lambda old: old + "7" * 5000, lambda old: old + ".0", lambda old: "0" + old, lambda old: old + "...")
    return _replace(rng, text, NUMBER, rng.choice(longer + more))


@_any
def other_script(rng: Random, text: str, source: Gold) -> str:
    base = rng.choice((0x660, 0x966, 0xFF10, 0x1D7CE))
    script = str.maketrans({str(d): chr(base + d) for d in range(10)})
    extra = rng.choice("²³½¼⁰₂①٣７")
    edits = (lambda old: old.translate(script), lambda old: old + extra, lambda old: old + extra.translate(script))
    return _replace(rng, text, NUMBER, rng.choice(edits))


@_any
def swap_word(rng: Random, text: str, source: Gold) -> str:
    words = source.words or ["times"]
    return _replace(rng, text, WORD, lambda old: rng.choice(words))


@_any
def delete_word(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, WORD, lambda old: "")


@_any
def change_operator(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile(r"[-+*/×÷]"), lambda old: rng.choice("+-*/^%"))


@_any
def insert_operator(rng: Random, text: str, source: Gold) -> str:
    return _insert(rng, text, rng.choice((" + ", " - ", " * ", "+ 1 ", " - 0 ", " * 1", "^2", "!", " %")))


@_any
def delete_mark(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile(r"[-+*/=().,:;#<>{}\\]"), lambda old: "")


@_any
def insert_mark(rng: Random, text: str, source: Gold) -> str:
    return _insert(rng, text, rng.choice((*"()=.,;:?!\\{}#\"'≠~", "()", "==", "<<", ">>")))


@_any
def drop_sentence(rng: Random, text: str, source: Gold) -> str:
    return _sentences(rng, text, source, lambda parts: parts.pop(rng.randrange(len(parts))) if parts else None)


@_any
def repeat_sentence(rng: Random, text: str, source: Gold) -> str:
    def edit(parts: list[str]) -> None:
        if parts:
            parts.insert(rng.randint(0, len(parts)), rng.choice(parts))

    return _sentences(rng, text, source, edit)


@_any
def move_sentence(rng: Random, text: str, source: Gold) -> str:
    def edit(parts: list[str]) -> None:
        if parts:
            part = parts.pop(rng.randrange(len(parts)))
            parts.insert(rng.randint(0, len(parts)), part)

    return _sentences(rng, text, source, edit)


@_any
def splice(rng: Random, text: str, source: Gold) -> str:
    """The first sentences of this text, and the last ones of another, of the same problem or of a different one."""
    if source.problem is not None:
        other = synthetic(rng, source.kind, source.problem if rng.random() < 0.7 else None).text
    else:
        other = gold(rng, source.kind).text
    mine, theirs = sentences(text, source.kind), sentences(other, source.kind)
    return "".join(mine[: rng.randint(0, len(mine))] + theirs[rng.randint(0, len(theirs)) :])


@_any
def echo(rng: Random, text: str, source: Gold) -> str:
    """The prompt before, after or inside the solution."""
    prompt = source.prompt
    if rng.random() < 0.5:
        parts = re.split(r"(?<=\.) ", prompt)
        prompt = " ".join(parts[: rng.randint(1, len(parts))])

    def edit(parts: list[str]) -> None:
        parts.insert(rng.choice((0, 0, len(parts), rng.randint(0, len(parts)))), prompt + " ")

    return _sentences(rng, text, source, edit)


SPACES = ("", "  ", "\t", "\n", "\u00a0", "\u2009", "\u200b", "\r\n", "\u3000")


@_any
def change_space(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile(r"\s+"), lambda old: rng.choice(SPACES))


LOOKALIKES = {"*": "×∗⋅", "-": "−–‐", "=": "＝≡", ".": "．。․", "+": "＋", "(": "（", "a": "а", "e": "е", "A": "Α"}


@_any
def lookalike(rng: Random, text: str, source: Gold) -> str:
    return _replace(rng, text, re.compile(r"[-*=.+(aeA]"), lambda old: rng.choice(LOOKALIKES[old]))


@_any
def break_off(rng: Random, text: str, source: Gold) -> str:
    """A step without its last side, or the text without its end."""
    if rng.random() < 0.3:
        return text[: rng.randint(0, len(text))]
    return _replace(rng, text, re.compile(r" ?= ?[^=.\n]*(?=\s?[.\n])"), lambda old: "")


@_any
def more_finals(rng: Random, text: str, source: Gold) -> str:
    value = rng.choice((source.answer, str(rng.randint(0, 30)), "14.5"))
    forms = {
        "english": ("Answer: {}. ", "ANSWER: {}. ", "answer {}. "),
        "terse": ("answer {} . ", ". answer {} . ", "Answer: {} . "),
    }
    shapes = forms.get(source.kind, ("#### {}\n", "\\boxed{{{}}} ", "The answer is {}. ", "Answer: {}\n", "#### {} "))
    final = rng.choice(shapes).format(value)

    def edit(parts: list[str]) -> None:
        parts.insert(rng.choice((0, len(parts), rng.randint(0, len(parts)))), final)

    return _sentences(rng, text, source, edit)


TAILS = (
    " million", " thousand dollars", "k", " dozen", "½", "²", " squared", " minus one", " is wrong", " not", "%",
    "\\pi", " or 6", " and a half", "...", "... or so", "!", " - 1", " + 2", "/2", "^2", " times 2", ".5", ",5", "e3",
    " hundred", " percent", " is not the answer", "? No", "i", "x", "_7", ":30", " or more", " (wrong)", ", no", "-7",
)  # fmt: skip


@_any
def tail_after_number(rng: Random, text: str, source: Gold) -> str:
    """Words or marks after a number, mostly after the last one."""
    matches = list(NUMBER.finditer(text))
    if not matches:
        return text
    at = (matches[-1] if rng.random() < 0.7 else rng.choice(matches)).end()
    return text[:at] + rng.choice(TAILS) + text[at:]


HEDGES = (
    "Wait. ", "No, wait. It is 3. ", "Maybe ", "I doubt that. ", "Not ", "It is false that ", "Hmm . ", "Suppose ",
    "Or ", "That is wrong. ", "Actually, ", "If ", "Unless ", "Check: 19 - 7 = 11. ", "So ", "Let ", "x = 3. ",
    "N/A. ", "<think>",
)  # fmt: skip


@_any
def hedge(rng: Random, text: str, source: Gold) -> str:
    def edit(parts: list[str]) -> None:
        parts.insert(rng.randint(0, len(parts)), rng.choice(HEDGES))

    return _sentences(rng, text, source, edit)


NOISE = (*"@=\x00\ud800🙂", "lorem", "42", "</s>", "\\frac{1}{2}", "```", "NaN", "inf", "1e9", "Define", "QB", "so")


@_any
def noise(rng: Random, text: str, source: Gold) -> str:
    return _insert(rng, text, " ".join([""] + [rng.choice(NOISE) for _ in range(rng.randint(1, 3))] + [""]))


def _alias(text: str, name: str) -> str:
    """How a text calls a quantity: by its alias where it defines one."""
    match = re.search(rf"Define {name} as ([A-Z]{{2}})", text)
    return match[1] if match else name


def _add(rng: Random, text: str, source: Gold, new: str) -> str:
    """A new sentence somewhere, or in the place of another."""
    end = ". " if source.kind == "english" else " . "

    def edit(parts: list[str]) -> None:
        at = rng.randint(0, max(0, len(parts) - 1))
        parts[at : at + (rng.random() < 0.3)] = [new + end]

    return _sentences(rng, text, source, edit)


@_synthetic
def echo_as_steps(rng: Random, text: str, source: Gold) -> str:
    """The relations of the problem as sentences of the solution, without values."""
    definitions = source.problem.definitions
    names = [name for name in definitions if rng.random() < 0.7] or [source.problem.target]
    rng.shuffle(names)
    aliased = rng.random() < 0.5
    end = ". " if source.kind == "english" else " . "

    def call(x: object) -> str:
        return _alias(text, x) if aliased and isinstance(x, str) else str(x)

    told = []
    for name in names:
        d = definitions[name]
        right = str(d) if isinstance(d, int) else f"{call(d[1])} {d[0]} {call(d[2])}"
        told.append(f"{call(name)} = {right}{end}")
    parts = sentences(text, source.kind)
    if rng.random() < 0.3:  # The echo alone, with the answer.
        parts = parts[-1:]
    elif rng.random() < 0.4:  # The echo, then the target's last step.
        parts = parts[-2:]
    at = rng.choice((0, 0, rng.randint(0, len(parts))))
    return "".join(parts[:at] + told + parts[at:])


@_synthetic
def idle(rng: Random, text: str, source: Gold) -> str:
    """A sentence that is true and works nothing out."""
    values = source.problem.values
    name = rng.choice(list(source.problem.definitions))
    value = values.get(name, source.problem.definitions[name])
    called = rng.choice((name, _alias(text, name)))
    shapes = ("7 = 7", f"{called} = {called}", f"{called} = {value}", f"{value} = {called}", f"{value} = {value}",
              f"{called} = {called} = {value}", f"{called} = {value} = {value}", f"{called} = {called} + 0",
              f"{called} = {called} * 1 = {value} * 1 = {value}", f"{called} = {value} + 0 = {value}")  # fmt: skip
    return _add(rng, text, source, rng.choice(shapes))


@_synthetic
def invent_relation(rng: Random, text: str, source: Gold) -> str:
    """A step with true values by a relation that the problem does not state."""
    task = source.problem
    values = {n: task.values.get(n, d if isinstance(d, int) else 0) % task.modulus for n, d in task.definitions.items()}
    name, ref = rng.choice(list(values)), rng.choice(list(values))
    constant = (values[name] - values[ref]) % task.modulus
    a, b = (_alias(text, x) for x in (name, ref))
    relation = rng.choice((f"{b} + {constant}", f"{b} - {(-constant) % task.modulus}", f"{constant} + {b}"))
    shown = relation.replace(b, str(values[ref]))
    shapes = (f"{a} = {relation} = {shown} = {values[name]}", f"{a} = {shown} = {values[name]}", f"{a} = {relation}",
              f"{a} = {relation} = {values[name]}")  # fmt: skip
    return _add(rng, text, source, rng.choice(shapes))


@_synthetic
def swap_sides(rng: Random, text: str, source: Gold) -> str:
    """Sides of a step in another order, or one of them left out or repeated."""
    parts = sentences(text, source.kind)
    chains = [i for i, part in enumerate(parts) if part.count("=") > 1]
    if not chains:
        return text
    at = rng.choice(chains)
    body, end = re.fullmatch(r"(.*?)(\s?\.?\s*)", parts[at], re.S).groups()
    sides = body.split("=")
    i, j = rng.randrange(1, len(sides)), rng.randrange(1, len(sides))
    match rng.randrange(3):
        case 0:
            sides[i], sides[j] = sides[j], sides[i]
        case 1:
            del sides[i]
        case _:
            sides.insert(j, sides[i])
    parts[at] = "=".join(side if side[:1] == " " or n == 0 else f" {side}" for n, side in enumerate(sides)) + end
    return "".join(parts)


@_synthetic
def redefine(rng: Random, text: str, source: Gold) -> str:
    """An alias or a name put for another, everywhere after a place."""
    words = [w for w in source.words if w in text]
    if len(words) < 2:
        return text
    old, new = rng.sample(words, 2)
    at = rng.randint(0, len(text))
    return text[:at] + text[at:].replace(old, new)


def mutate(rng: Random, source: Gold) -> tuple[str, tuple[str, ...]]:
    """The text after one to four mutations, and their names."""
    choices = MUTATIONS + (SYNTHETIC * 2 if source.problem is not None else [])
    picked = rng.choices(choices, k=rng.choice((1, 1, 1, 2, 2, 3, 4)))
    text = source.text
    for mutation in picked:
        text = mutation(rng, text, source)
    return text, tuple(mutation.__name__ for mutation in picked)
