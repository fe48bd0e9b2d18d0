"""Counts of lists: where they are read, and what is none."""

import pytest

from zipthought.solutions import gsm8k
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import UnreadableError

QUESTION = "How many of them are there?"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The divisors of 10 are 1, 2, 5 and 10. There are 4 of them.", 4),
        (r"The squares are \[1, 4, 9, 16, 25\] There are five squares in this list.", 5),
        (r"The values are \(3\), \(-3\), \(5\), and \(-5\), which gives us a total of 4 values.", 4),
        (r"They are $\frac{1}{2}, \frac{1}{3}, \frac{1}{4}$. We count 3 fractions.", 3),
        (r"The pairs are \((1, 6), (2, 5), (3, 4)\). All three pairs work.", 3),
        (r"The set is \(\{2, 3, 5, 7, 11\}\), so the number of primes is 5.", 5),
        ("The powers are 2^1, 2^2, 2^3, which is 3 powers.", 3),
        ("First 1, 2, 3, 4, 5, 6. Without 4 and 6 this leaves 1, 2, 3, 5. There are 4 left.", 4),
    ],
)
def test_a_stated_count_of_the_last_list_is_a_step(text, count):
    solution = gsm8k.read(QUESTION, f"{text}\n#### {count}")
    (step,) = solution.steps
    assert step.equation.result == count
    assert gsm8k.verify(QUESTION, solution.whole, str(count)).faithful
    for wrong in (count - 1, count + 1):
        with pytest.raises(UnreadableError) as error:
            gsm8k.read(QUESTION, f"{text}\n#### {wrong}")
        assert error.value.reason == "no_steps"


@pytest.mark.parametrize(
    ("text", "count", "why"),
    [
        ("The multiples are 3, 6, 9, ... There are 3 of them.", 3, "it goes on"),
        ("The multiples are 3, 6, 9, and so on. There are 3 of them.", 3, "it goes on"),
        ("The values are 3, 3, 5, 7. There are 4 of them.", 4, "a value twice"),
        (r"The values are $2^2, 4, 5$. There are 3 of them.", 3, "a value twice, in another notation"),
        ("The values are 3, 5, 7. There are 4 of them and 3 more.", 2, "another count"),
        ("The values are 3, 5, 7. They are odd.", 3, "nobody counts"),
        ("The point is (3, 5, 7). There are 3 of them.", 3, "a tuple is one thing"),
        ("Take 3 + 4, 5, 6. There are 3 of them.", 3, "it begins within a sum"),
        ("They are 3, 5 and 7 to 9. There are 3 of them.", 3, "a range"),
        ("They are 3 and 5. There are 2 of them.", 2, "two numbers are no list"),
    ],
)
def test_what_is_no_count(text, count, why):
    with pytest.raises(UnreadableError):
        gsm8k.read(QUESTION, f"{text}\n#### {count}")


def test_a_count_does_not_stand_in_for_the_last_step():
    text = "The sides are 3, 4, 5. There are 3 of them. The sum is 3 + 4 + 5 = 12.\n#### {}"
    assert [step.equation.result for step in gsm8k.read(QUESTION, text.format(12)).steps] == [12]
    with pytest.raises(UnreadableError):
        gsm8k.read(QUESTION, text.format(3))


def test_the_list_of_a_count_stays_in_every_text():
    text = "4 * 4 = 16 and 5 * 5 = 25.\nThe squares are 1, 4, 9, 16, 25.\nThere are 5 squares.\n#### 5"
    solution = gsm8k.read(QUESTION, text)
    for fmt in ("composed:2", "implicit:2", "pruned"):
        written = compress_solution(solution, fmt)
        assert "1, 4, 9, 16, 25" in written, fmt
        assert gsm8k.verify(QUESTION, written, "5").answer == "correct"


@pytest.mark.parametrize(("final", "right"), [("5 2/3", "17/3"), (r"\boxed{5\frac{2}{3}}", r"5\frac{2}{3}")])
def test_a_division_with_a_remainder_gives_a_mixed_number(final, right):
    text = "17 / 3 = 5 remainder 2.\n"
    solution = text + (final if "boxed" in final else f"#### {final}")
    assert gsm8k.read("What is 17 / 3?", solution, right).steps
    with pytest.raises(UnreadableError):
        gsm8k.read("What is 17 / 3?", solution.replace("2/3", "1/3").replace("{2}{3}", "{1}{3}"))
