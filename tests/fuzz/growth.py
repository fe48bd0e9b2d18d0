"""Time against length: families of texts up to a million characters, and the exponent of their time.

Each family repeats a piece of text between a beginning and an end. The exponent is the slope of log time against log
length over the last two doublings; it is measured where the times are long enough to mean something.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import zipthought as zt
from zipthought.core.arithmetic import BinOp
from zipthought.core.problem import Problem
from zipthought.solutions import FAMILIES
from zipthought.solutions.solution import UnreadableError

LENGTHS = (62_500, 125_000, 250_000, 500_000, 1_000_000)
MAX_EXPONENT, MAX_SECONDS = 1.3, 20.0
MEASURABLE = 0.01
"""Seconds below which a time says nothing about an exponent."""


class Family(NamedTuple):
    """Texts of one shape and any length."""

    head: str
    piece: str
    """What is repeated. ``§`` stands for the number of the repetition, ``¶`` for the next one, ``‡`` for letters."""
    tail: str

    def text(self, length: int) -> str:
        count = length // len(self.piece) + 1
        if set(self.piece) & set("§¶‡"):
            pieces = [self.piece.translate({0xA7: str(i), 0xB6: str(i + 1), 0x2021: _letters(i)}) for i in range(count)]
            body = "".join(pieces)
        else:
            body = self.piece * count
        return (self.head + body)[: length - len(self.tail)] + self.tail


def _letters(number: int) -> str:
    """A word of its own for each number."""
    word = ""
    while number or not word:
        number, digit = divmod(number, 26)
        word += chr(97 + digit)
    return word


PROBLEM = Problem(
    23, {"kites": 3, "drums": BinOp("+", "kites", 4), "lamps": BinOp("*", "drums", 2), "oaks": 2}, "lamps"
)
START = {"english": "Define kites as QB; so QB = 3. Define drums as MX; so MX = ", "terse": "kites = 3 . drums = "}
END = {"english": " = 7. Answer: 14.", "terse": " = 7 . answer 14 ."}
COMMON = (
    "9", "9.", "9 ", "9,", "9. ", "0", ".", ". ", " . ", ",", "(", ")", "()", "( ", "(9", "2(", "(9 + ", "+ ", "-",
    "- ", "* ", "/", "/9", "9/9 ", "= ", "=", "==", "9 = ", "9 + 9 = 18 ", " ", "\n", "\t", "\r\n", "\u00a0", ";",
    ":", '"', "'", "?", "\\", "\\frac{", "\\frac{1}{2}", "\\times ", "\\boxed{", "\\(", "$", "$9", "{", "}", "<",
    "<<", ">>", "<<9+9=18>>", "<<9=", "#", "####", "#### 9\n", "#### 9 ", "%", "9%", "x", "9x", "9 x ", "é", "½",
    "9½", "٣", "\ud800", "**", "**9** ", "_", "|", "a", "a ", "A", "AB ", "the ", "of ", "and ", "answer",
    "Answer: ", "Answer: 9. ", "answer 9 . ", "The answer is ", "The answer is 9. ", "not ", "...", "9...", "…",
    "9e9", "1 1/2 ", "1,000", "-9 ", "^2", "9^", "!", "~", "≈", "×", "9 × ",
)  # fmt: skip
OWN = {
    "english": (
        "Define ‡ as AB; so AB = 1. ", "‡ = 1. ", "So MX = ‡ + 1. ", "So MX = §. ", "So MX = QB + §. ", "Answer: §. ",
        "QB", "QB ", "QB + ", "QB = ", "2QB + ", "(QB + 1)", "(QB", "QB * (", "Define ", "Define kites as QB; so ",
        "so ", "Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. ", "So ", "So MX = ", "So MX = QB + 4. ", "MX = 7. ",
        "kites ", "kites = 3. ", "Define kites as ", "The number of kites equals 3. ", "The number of ",
        "What is the number of ", "Define a as AB; so AB = 1. ", "oaks = 2. ", "lamps = lamps. ", "MX = QB + 4. ",
        "MX = QB + 4 = ", "7 = 7. ",
    ),
    "terse": (
        "‡ = 1 . ", "drums = ‡ + 1 . ", "drums = § . ", "drums = kites + § . ", "answer § . ", "? ‡ ",
        "kites", "kites ", "kites + ", "kites = ", "2 kites + ", "( kites + 1 ) ", "( kites ", "kites * ( ",
        "? kites ", "drums = kites + 4 = 3 + 4 = 7 . ", "drums = ", "kites = 3 . ", "oaks = 2 . ",
        "lamps = lamps . ", "7 = 7 . ", "drums = kites + 4 . ", "drums = kites + 4 = ", "answer ", "? ",
    ),
    "gsm8k": (
        "§ + 1 = ¶\n", "§ + 0 = § ", "1 + § = ¶ eggs. ", "<<§+1=¶>>¶\n", "§ eggs + 1 eggs = ¶ eggs. ", "§ ", "#### §\n",
        "She has 3 + 4 = 7 eggs. ", "3 + 4 = 7\n", "3 + ", "3 eggs + ", "3 eggs + 4 eggs = 7 eggs. ",
        "$3 + $4 = $7. ", "7 = ", "<<3+4=7>>7 ", "3 + 4 = <<3+4=7>>7\n", "10/3 = 3.", "10/3 = 3.3", "3 of ",
        "half of ", "1 ", "equals ", "3 equals ", "3 hours ", "50% of ", "50% ", "$1,000 ", "1,000,", "3.", "3\n",
        "No, wait. ", "1. 3 + 4 = 7\n", "- 3 + 4 = 7\n",
    ),
    "countdown": (
        "§ + 1 = ¶\n", "§ * 1 = §\n", "3 + 4 = 7\n", "7 * 2 = 14\n", "3 + ", "14 = ", "1 * 1 = 1\n", "7 + 0 = 7 ",
    ),
}  # fmt: skip
TAILS = {
    "english": ("", "x", END["english"]),
    "terse": ("", "x", END["terse"]),
    "gsm8k": ("", "x", " = 7\n#### 14"),
    "countdown": ("§ + 1 = ¶\n", "§ * 1 = §\n", "", "\n7 * 2 = 14\n#### 14"),
}


def families(kind: str) -> Iterator[Family]:
    """The families of a surface or family of solutions."""
    head = START.get(kind, "3 + 4 = 7\n")
    common = () if kind == "countdown" else COMMON  # It reads a text as `gsm8k` does.
    for piece in (*common, *OWN.get(kind, ())):
        for tail in TAILS.get(kind, ("",)):
            yield Family(head, piece, tail)
        if piece in OWN.get(kind, ()):
            yield Family("", piece, "")


def judge(kind: str) -> Callable[[str], None]:
    """What is timed: the verdict, and for real solutions also the reading that compression needs."""
    if kind not in FAMILIES:
        return lambda text: (zt.verify(text, PROBLEM, surface=kind), None)[1]
    family = FAMILIES[kind]
    question = "Using the numbers [3, 4, 2, 9], create an equation that equals 14."

    def both(text: str) -> None:
        family.verify(question, text, "14")
        with suppress(UnreadableError):
            family.read(question, text)

    return both


def grow(judged: Callable[[str], None], family: Family) -> dict[str, Any]:
    """The times of a family by length, its exponent, and its seconds at the largest length (or what they would be)."""
    times: dict[int, float] = {}
    for length in LENGTHS:
        text = family.text(length)
        began = time.process_time()
        judged(text)
        times[length] = time.process_time() - began
        if times[length] > MAX_SECONDS / 4 and length < LENGTHS[-1]:
            break  # The rest follows from the exponent.
    lengths = list(times)
    last = lengths[-1]
    before = lengths[max(0, len(lengths) - 3)]
    exponent = 1.0
    if times[before] >= MEASURABLE and last > before:
        exponent = math.log(times[last] / times[before]) / math.log(last / before)
    seconds = times[last] * (LENGTHS[-1] / last) ** max(1.0, exponent)
    return {"exponent": round(exponent, 2), "seconds": round(seconds, 3), "times": times}


def measure(kinds: list[str]) -> dict[str, Any]:
    """Measure all families of these kinds, print the slowest, and return those that are flagged."""
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        judged = judge(kind)
        for family in families(kind):
            found = grow(judged, family)
            if found["exponent"] > MAX_EXPONENT or found["seconds"] > MAX_SECONDS:  # Once more, to be sure.
                found = min(found, grow(judged, family), key=lambda each: each["exponent"])
            rows.append({"kind": kind, **family._asdict(), **found})
            if found["exponent"] > MAX_EXPONENT or found["seconds"] > MAX_SECONDS:
                print(
                    f"FLAGGED {kind} {family.piece!r}, then {family.tail!r}: exponent {found['exponent']}, "
                    f"{found['seconds']} s at 1,000,000 characters",
                    flush=True,
                )
        mine = [row for row in rows if row["kind"] == kind]
        worst = max(mine, key=lambda row: row["seconds"])
        steepest = max(mine, key=lambda row: row["exponent"])
        print(
            f"{kind}: {len(mine)} families; slowest {worst['seconds']} s at 1,000,000 characters ({worst['piece']!r}), "
            f"steepest exponent {steepest['exponent']} ({steepest['piece']!r})",
            flush=True,
        )
    flagged = [row for row in rows if row["exponent"] > MAX_EXPONENT or row["seconds"] > MAX_SECONDS]
    if not flagged:
        print(f"all below exponent {MAX_EXPONENT} and {MAX_SECONDS:.0f} s", file=sys.stderr)
    return {"flagged": flagged, "families": rows}
