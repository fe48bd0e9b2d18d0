"""Final answers: which notations state one, which words and marks change it, and what takes it back."""

import pytest

from zipthought.solutions import gsm8k

SOLUTION = "70 + 2 = 72.\n"


@pytest.mark.parametrize(
    "final",
    [
        "#### 72.",
        "#### $72",
        "#### **72**",
        "#### 72 clips.",
        "#### 72 clips!",
        "#### 72 (clips)",
        "The answer is 72!",
        "The answer is **72**! I hope this helps.",
        "The answer is simple: 70 + 2.\n#### 72",
        "Answer: 70 + 2 = 72\n#### 72",
        "Answer: 70 + 1 eggs + 1 egg = 72 eggs\n#### 72",
        "\\boxed{72}#### 72",
        "\\boxed{70 + 2}\n#### 72",
        "#### 72 dollars per hour",
        "#### 72 eggs left over",
        "#### 72 km/h",
        "#### 72 cm²",
        "#### 72 square feet",
        "#### 72 points",
        "#### 72 times",
        "#### 72 percent",
        "#### 72°",
        "#### x = 72",
        "#### 144/2",
        "#### 7.2e1",
        "#### 72\n\n72 clips were sold.",
        "<<70+2=72>> #### 72",
        "The answer is: 72",
        "The answer is **72**.",
        "The answer is 72 clips.\n\nI hope this helps!",
        "The answer is 72, as required.",
        'The answer is "72".',
        "The answer is 72\\%.",
        "Answer: **72**",
        "**Answer:** 72",
        "**Answer**: $72$",
        "ANSWER: 72",
        "Final answer: \\(72\\)",
        "Answer: The answer is 72. I hope it is right.",
        "<answer> 72 clips </answer>",
        "\\boxed{72}",
        "\\[\\boxed{ 72 }\\]",
        "\\boxed{72 \\text{ clips}}",
        "\\boxed{72}\\text{ clips}",
        "\\boxed{72^\\circ}",
        "$n = \\boxed{72}$.\nCheck: 72 - 2 = 70.",
        "Write it in \\boxed{}: \\boxed{72}",
    ],
)
def test_right_answers(final):
    verdict = gsm8k.verify("", SOLUTION + final, "72")
    assert (verdict.answer, verdict.faithful) == ("correct", True)


def test_thousands_of_latex():
    assert gsm8k.verify("", "\\boxed{1{,}080}", "1080").answer == "correct"
    assert gsm8k.verify("", "\\boxed{1\\,080}", "1,080").answer == "correct"


@pytest.mark.parametrize(
    ("final", "why"),
    [
        ("#### 72 million", "a scale word"),
        ("#### 72 thousand dollars", "a scale word before a unit"),
        ("#### 72 dozen", "a scale word"),
        ("#### 72k", "a scale, or an unknown"),
        ("#### 72M", "a scale, or an unknown"),
        ("#### 72m", "metres, millions or an unknown"),
        ("#### 72i", "an unknown"),
        ("#### 72x", "an unknown"),
        ("#### 72bn", "a scale"),
        ("#### 72½", "a fraction"),
        ("#### 72²", "a power"),
        ("#### 72^2", "a power"),
        ("#### 72 squared", "a power in words"),
        ("#### 72!", "may be a factorial"),
        ("#### 72?", "a question"),
        ("#### 72...", "goes on"),
        ("#### 72…", "goes on"),
        ("#### 72,5", "a decimal comma"),
        ("#### 72'000", "thousands"),
        ("#### 72\u2009000", "thousands"),
        ("#### 72:30", "a time"),
        ("#### 7 2", "two numbers"),
        ("#### 72‰", "per mille"),
        ("#### 72 per mille", "per mille in words"),
        ("#### 72%%", "not one percentage"),
        ("#### 72th", "an ordinal"),
        ("#### 72 minus one", "an operator in words"),
        ("#### 72 plus tax", "an operator in words"),
        ("#### 72 and a half", "a fraction in words"),
        ("#### 72 point five", "a decimal in words"),
        ("#### 72 tenths", "a fraction in words"),
        ("#### 72 mod 5", "an operator in words"),
        ("#### 72 is wrong", "a denial"),
        ("#### 72 (wrong)", "a denial"),
        ("#### 72, wrong", "a denial"),
        ("#### not 72", "a denial"),
        ("#### 72 or 73", "two numbers"),
        ("#### 72 or so", "an estimate"),
        ("#### about 72", "an estimate"),
        ("#### ~72", "an estimate"),
        ("#### 72 at most", "a limit"),
        ("#### 72 more than Bob", "a comparison"),
        ("#### 72 out of ten", "another number"),
        ("#### 72 万", "a word of another script"),
        ("#### 72 one two three four five", "more words than a unit has"),
        ("#### 72\n#### 73", "two answers"),
        ("#### 72 #### 73", "two answers in a line"),
        ("#### 72\n\\boxed{73}", "two notations"),
        ("#### 72.\nNo, wait. It is 73.", "taken back"),
        ("#### 72. Hmm, let me check that again.", "taken back"),
        ("#### 72\nThat is wrong.", "taken back"),
        ("#### 72\nThat can't be right.", "taken back"),
        ("#### 72\nThe count is 73.", "another number"),
        ("#### 72\nIt is seventy-three.", "another number in words"),
        ("#### 72\nCorrection: 70 + 3 = 73.", "another sum"),
        ("#### 72\nSo 70 + 3 = 73.", "an equation without the answer"),
        ("The answer is not 72.", "a denial"),
        ("The answer is 72 million.", "a scale word"),
        ("The answer is 72. The answer is 73.", "two answers"),
        ("Answer: 14.5. Answer: 72.", "two answers in a line"),
        ("ANSWER: 3. Answer: 72.", "two answers in a line"),
        ("Answer: 72.eggs = 72. ... Answer: 72.", "one of them is no number"),
        ("The wrong answer is 72.", "a denial before it"),
        ("It is not \\boxed{72}.", "a denial before it"),
        ("It isn't \\boxed{72}.", "a denial before it"),
        ("\\boxed{72\\pi}", "a factor"),
        ("\\boxed{72}\\pi", "a factor behind the box"),
        ("\\boxed{72}^2", "a power behind the box"),
        ("\\boxed{72}²", "a power behind the box"),
        ("\\boxed{72} million", "a scale word behind the box"),
        ("\\boxed{72} minus one", "an operator behind the box"),
        ("\\boxed{72} - 5", "an operator behind the box"),
        ("\\sqrt{\\boxed{72}}", "a root around the box"),
        ("-\\boxed{72}", "a sign before the box"),
        ("\\boxed{\\sqrt{72}}", "a root"),
        ("\\boxed{72\\sqrt{2}}", "a factor"),
        ("#### 72!", "a factorial"),
        ("The answer is 72 (million).", "a scale word in brackets"),
        ("\\boxed{5} 70 + 2 = 72\n#### 72", "another box, with arithmetic behind it"),
        ("\\boxed{7 2}\n#### 72", "a box with two numbers"),
        ("\\boxed{seven}\n#### 72", "a box with words"),
        ("\\boxed{70 + 3}\n#### 72", "a box with another sum"),
        ("Answer: 14 $72\n#### 72", "two numbers"),
        ("Answer: 72٣\n#### 72", "a digit of another script"),
        ("The answer is 7¼2\n#### 72", "a number that cannot be read"),
        ("So $n=\\boxed{72}$. Let me see. In fact $n=\\boxed{64}$.", "two boxes in a line"),
        ("\\boxed{72}. Thus the count is 73.", "another number"),
        ("\\boxed{72}####5 = 72", "another number before an equals sign"),
        ("Answer: 5 = 72\n#### 72", "an equation that does not hold"),
        ("The answer is 14 70 + 2 = 72\n#### 72", "a number before an equation"),
        ("The answer is 30 equals\n\\boxed{72}", "a number and an operator in words"),
        ("Answer: 14>\n#### 72", "a number and a mark"),
        ("The answer is 30 So126\n\\boxed{72}", "another number, and one that cannot be read"),
        ("The answer is 8 times 2\n\\boxed{72}", "arithmetic in words"),
        ("The answer is 30 So $\n\\boxed{72}", "another number"),
        ("The answer is 14.. tickets\n\\boxed{72}", "a number that cannot be read"),
        ("\\boxed{72 percent²}", "a power of a percentage"),
        ("The answer is 8 times 2 and 70 + 2 = 72\n\\boxed{72}", "arithmetic before words"),
    ],
)
def test_what_changes_or_denies_a_final_answer(final, why):
    verdict = gsm8k.verify("", SOLUTION + final, "72")
    assert verdict.answer in ("malformed", "conflicting", "wrong"), why
    assert not verdict.faithful, why


def test_two_different_formulas_conflict():
    text = "3 + 4 = 7. So $\\boxed{\\sqrt{7}}$. Or rather $\\boxed{\\sqrt{8}}$."
    assert gsm8k.verify("", text, "\\sqrt{8}").answer == "conflicting"
    assert gsm8k.verify("", text.replace("8", "7"), "\\sqrt{7}").answer == "correct"


def test_a_single_letter_is_a_unit_if_the_right_answer_has_it():
    assert gsm8k.verify("", "#### 72m", "72 m").answer == "correct"
    assert gsm8k.verify("", "#### 72 m", "72 m").answer == "correct"
    assert gsm8k.verify("", "#### 72 m", "72 g").answer == "wrong"
    for gold in ("72²", "5k"):
        assert gsm8k.verify("", "#### 72", gold).answer in ("wrong", "malformed")
    for gold in ("72 million", "seven", "", "#"):
        with pytest.raises(ValueError, match="neither a number nor a formula"):
            gsm8k.verify("", "#### 72", gold)


def test_steps_after_the_final_answer_count():
    verdict = gsm8k.verify("", f"{SOLUTION}#### 72\nCheck: 72 - 2 = 71.", "72")
    assert [step.verdict for step in verdict.steps] == ["valid", "wrong_arithmetic"]
    assert (verdict.answer, verdict.faithful) == ("correct", False)
    verdict = gsm8k.verify("", "So the sum is 70 + 3 = \\boxed{72}.", "72")
    assert [step.verdict for step in verdict.steps] == ["wrong_arithmetic"]
