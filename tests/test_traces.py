"""Thinking traces, and their compression to the steps that the answer depends on."""

import pytest

from zipthought.solutions import gsm8k
from zipthought.solutions.equations import FalseEquation
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.prose import find_equations
from zipthought.solutions.solution import UnreadableError
from zipthought.solutions.traces import pardoned

QUESTION = "Each of 4 boxes holds 12 pens. 9 pens are sold. How many are left?"


def trace(thought, answer="So 39 pens are left. \\boxed{39}"):
    return f"<think>\n{thought}\n</think>\n\n{answer}"


def faults(thought):
    text = trace(thought)
    return [e.fault for e in pardoned(text, find_equations(text)) if isinstance(e, FalseEquation)]


@pytest.mark.parametrize(
    "thought",
    [
        "4 * 12 = hmm, let me see.",
        "48 / 7 = 6.86 or so.",
        "4 * 12 = 46. No, wait, that's 48.",
        "4 * 12 = 46. That's not right.",
        "4 * 12 = 46\n\nLater: 4 * 12 = 48",
        "12 + 12 + 12 + 12 = 12 + 12 = 24, 24 + 12 = 36",
        "4 * 12 = 48 - 9 = 39",
    ],
)
def test_what_is_no_fault_in_a_trace(thought):
    assert faults(thought) == []
    assert faults(thought.replace("\n", " ") + "\n</think>\n<think>") == []


@pytest.mark.parametrize(
    "thought",
    [
        "4 * 12 = 46. So 46 pens.",
        "4 * 12 = 46 - 9 = 37",
        "48 / 7 = 7 * 8 = 56. Good.",
        "4 * 12 = 46, and 5 * 12 = 60",
    ],
)
def test_what_is_a_fault_in_a_trace(thought):
    assert faults(thought) == ["wrong_arithmetic"]
    with pytest.raises(UnreadableError):
        gsm8k.read(QUESTION, trace(f"{thought}\n4 * 12 = 48\n48 - 9 = 39".replace("\n4 * 12 = 48", "\n12 * 4 = 48")))


def test_after_the_trace_nothing_is_pardoned():
    text = trace("4 * 12 = 48", "48 - 9 = 38. No, wait. 48 - 9 = 39\n\\boxed{39}")
    with pytest.raises(UnreadableError, match="48 - 9 = 38 does not hold"):
        gsm8k.read(QUESTION, text)
    assert not gsm8k.verify(QUESTION, text, "39").faithful


def test_a_trace_may_state_other_answers_and_check_its_own():
    text = trace("4 * 12 = 48, so is the answer 48? No, the answer is 48 - 9 = 39. Check: 39 + 9 = 48.")
    assert gsm8k.read(QUESTION, text).answer == "39"
    assert gsm8k.verify(QUESTION, text, "39").faithful
    assert gsm8k.verify(QUESTION, text, "48").answer == "wrong"


PRUNED = trace(
    "4 * 12 = 48 pens in all.\n"
    "Or should I take 12 + 9 = 21 first?\n"
    "That leads nowhere.\n"
    "48 - 9 = 39 pens are left.\n"
    "Let me check once more.\n"
    "4 * 12 = 48, and\n"
    "48 - 9 = 39.\n"
    "Good."
)


def test_pruned_keeps_what_the_answer_depends_on():
    solution = gsm8k.read(QUESTION, PRUNED)
    kept = trace("4 * 12 = 48 pens in all.\nThat leads nowhere.\n48 - 9 = 39 pens are left.\nGood.")
    assert compress_solution(solution, "pruned") == kept.replace("That leads nowhere.\n", "That leads nowhere.\n")
    assert compress_solution(solution, "pruned:2").count("4 * 12 - 9 = 39") <= 1


def test_pruned_keeps_what_cannot_be_read_and_what_it_names():
    text = trace("12 + 9 = 21 is one idea.\nThen 21 pens x n = 40 y, perhaps.\n4 * 12 = 48\n48 - 9 = 39")
    assert "12 + 9 = 21" in compress_solution(gsm8k.read(QUESTION, text), "pruned")


def test_pruned_leaves_plain_solutions_alone():
    text = "There are 4 * 12 = <<4*12=48>>48 pens.\nThen 48 - 9 = <<48-9=39>>39 are left.\n#### 39"
    solution = gsm8k.read(QUESTION, text)
    assert compress_solution(solution, "pruned") == text
    assert compress_solution(solution, "pruned:2") == compress_solution(solution, "composed:2")


def test_pruned_drops_no_sentence_end_of_a_title():
    text = "Mr. Bell has 4 * 12 = 48 pens.\nMrs. Bell sells 9, so 48 - 9 = 39 are left.\n#### 39"
    assert compress_solution(gsm8k.read(QUESTION, text), "composed:2").startswith("Mrs. Bell")


def test_pruning_keeps_algebra_and_what_it_names_and_drops_the_rest():
    trace = (
        "<think>\nA pen costs p. s = 3p.\nFirst 3 * 4 = 12 hours.\nAside, 7 * 7 = 49.\nThen p + 12 = 20.\nSo p = 8.\n"
        "And s = 24.\nAlso 9 * 9 = 81.\n</think>\n#### 24"
    )
    solution = gsm8k.read("How many?", trace)
    text = compress_solution(solution, "pruned")
    assert "49" not in text
    assert "81" not in text
    for kept in ("s = 3p", "3 * 4 = 12", "p + 12 = 20", "p = 8", "s = 24"):
        assert kept in text
    assert gsm8k.verify("How many?", text, "24").faithful


def test_the_step_that_gives_the_answer_is_shown_though_a_check_uses_it():
    text = "<think>\n6 * 7 = 42. Check 42 / 7 = 6.\n</think>\n\n42"
    solution = gsm8k.read("What is 6 * 7?", text)
    for fmt in ("composed:2", "implicit:2", "pruned:2"):
        assert gsm8k.verify("What is 6 * 7?", compress_solution(solution, fmt), "42").faithful


def test_no_text_hides_the_equation_that_corrects_a_slip():
    text = "<think>\n5 + 6 = 12, so I have it. Then 5 + 6 = 11.\nSo 11 * 2 = 22.\n</think>\n#### 22"
    solution = gsm8k.read("How many?", text)
    for fmt in ("composed:2", "implicit:1", "implicit:2", "pruned:1", "random-steps:0.5"):
        verdict = gsm8k.verify("How many?", compress_solution(solution, fmt), "22")
        assert all(step.verdict == "valid" for step in verdict.steps)
