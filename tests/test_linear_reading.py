"""Reading takes time linear in the text, whatever is repeated: processor time at one length and at four times of it.

A quadratic reader takes sixteen times as long for four times the text. The quick version has one text for each kind of
run; the slow one has every unit with every end, and longer texts.
"""

import gc
import itertools
import time

import pytest

from zipthought.solutions import gsm8k
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import UnreadableError

NUMBERS = ["1", "12 ", "1,", "1,000", " 000", "1\u2009", "1.", "1..", "..", "…", "3.33...", "1:", "1'", "1_", "1{,}"]
FRACTIONS = ["/", "1/", "1/2 ", "1 1/2 ", "½", "1½", "%", "5%+", "\\frac{", "\\frac{1}{2}+", "$", "$1"]
BRACKETS = ["(", "((1+", "1)", "{", "}", "<<", "<<1", "<<1+1=2>>", ">>", "\\left(", "\\"]
OPERATORS = ["=", "1=", "1+1= ", "- ", "−", "+", "* ", "**", "^", "5^", "²", "!", "5!", "x", "3x", "3 x ", "times "]
WORDS = ["words ", "of ", "1 of ", "w1", "eggs, ", "1 + eggs ", "million ", "1 million + ", "n't ", "not ", "equals "]
MARKS = ["٣", "1٣", "\u200b", "5\u0301", "\x01", "1\x03", "."]
ANSWERS = [
    "answer is ",
    "Answer: 5. ",
    "\\boxed{",
    "\\boxed{5} ",
    "\\boxed{{",
    "#### ",
    "#### 5\n",
    "<answer>",
    "is 5. ",
]
LINES = ["\n", "a = b\n", "1+1= \n", "1 + 4 = 5\n", "5 + 5 = 10. "]
UNITS = [*NUMBERS, *FRACTIONS, *BRACKETS, *OPERATORS, *WORDS, *MARKS, *ANSWERS, *LINES]
STARTS = ["", "3 + 2 = ", "#### 5 ", "\\boxed{5} "]
ENDS = ["", "x", "1", "..", "}", " = 5\n#### 5", "=<<1+1=2>>2\n#### 2", "\n1 + 4 = 5\n#### 5"]
TIMES, MAX_RATIO = 4, 8


@pytest.fixture(autouse=True)
def no_garbage_collection():
    """Collections look through all that other tests have left, at moments that depend on the length of a text."""
    gc.disable()
    yield
    gc.enable()


def seconds(text):
    """Processor time of verifying the text, reading it and, where it verifies, writing it."""
    start = time.process_time()
    gsm8k.verify("", text, "5")
    try:
        solution = gsm8k.read(text, text, "5")
    except UnreadableError:
        solution = None
    if solution:
        compress_solution(solution, "composed:2")
        compress_solution(solution, "implicit:2")
    return time.process_time() - start


def check_growth(start, unit, end, length):
    """Fails if `TIMES` the text, up to `length`, takes `MAX_RATIO` times as long, in each of three attempts."""
    short, long = (start + unit * (size // len(unit)) + end for size in (length // TIMES, length))
    ratios = []
    for _ in range(3):
        before = seconds(short)
        if before < 0.005:  # Too short to measure. Quadratic time shows at this length.
            return
        ratios.append(seconds(long) / before)
        if ratios[-1] < MAX_RATIO:
            return
    pytest.fail(f"{start!r} + {unit!r} * n + {end!r}: {TIMES} times the text takes {min(ratios):.1f} times as long")


@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_text_takes_four_times_as_long(unit):
    check_growth("", unit, "x" if unit == unit.strip() else "\n1 + 4 = 5\n#### 5", 40_000)


@pytest.mark.slow
@pytest.mark.parametrize(("start", "end"), list(itertools.product(STARTS, ENDS)))
def test_every_unit_with_every_end(start, end):
    for unit in UNITS:
        check_growth(start, unit, end, 128_000)


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_a_text_of_a_megabyte(unit):
    check_growth("", unit, "\n1 + 4 = 5\n#### 5", 1_000_000)
