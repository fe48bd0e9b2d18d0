"""Equations with letters and answers that are formulas, by sympy in a process of its own."""

import pytest

from zipthought.solutions import gsm8k
from zipthought.solutions.mathematics import algebra, decide, is_available, process, same_answer
from zipthought.solutions.mathematics.latex import prepare
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import UnreadableError

needs_sympy = pytest.mark.skipif(not is_available(), reason="needs zipthought[math]")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2(x + 1)(x - 1)3", r"2\cdot (x + 1)\cdot (x - 1)\cdot 3"),
        (r"\dfrac12 + \sqrt3", r"\frac{1}{2} + \sqrt{3}"),
        (r"\boxed{12{,}500}", "12500"),
        (r"\sin^2(x)\cos(x)", r"\sin^2(x)\cdot \cos(x)"),
        (r"\pi(r + 1)", r"\pi\cdot (r + 1)"),
        ("4 × 5 ÷ 2", r"4 \cdot  5 \div  2"),
        (r"3\frac{1}{2}", None),
        ("3 4", None),
        ("f(3)", None),
        ("x'", None),
        ("12_5", None),
        (r"5 \text{ feet}", None),
        (r"7 \star 2", None),
        ("seven", None),
        ("x or y", None),
        ("~72", None),
        ("72...", None),
        ("2^{99999}", None),
        ("x" * 301, None),
        ("", None),
    ],
)
def test_prepared_latex(text, written):
    assert prepare(text) == written


@pytest.mark.parametrize(
    ("stated", "right", "same"),
    [
        (r"\text{odd}", "odd", True),
        (r"\text{odd}", "even", False),
        ("(B)", "B", True),
        ("B", "(D)", False),
        ("31_5", "31_5", True),
        ("31_5", "31", None),
        (r"\text{July 4}", "4", None),
        ("6 million", "6", None),
        (r"9:05 \text{ a.m.}", "9:05 AM", True),
        ("9:05 pm", "09:05p.m.", True),
        ("9:05 am", "9:05 pm", False),
        ("9:05 pm", "9:06 pm", False),
        ("9:05", "9:05 pm", None),
        ("6:40", "3:20", None),
    ],
)
def test_answers_in_words(stated, right, same):
    assert same_answer(stated, right) is same


@needs_sympy
@pytest.mark.parametrize(
    ("stated", "right", "same"),
    [
        (r"2\sqrt{7}", r"\sqrt{28}", True),
        (r"\sqrt{7}", "7", False),
        (r"5\pi", "5", False),
        ("3i", "3", False),
        ("4! - 4", "20", True),
        ("5 + 2i", "2i + 5", True),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt 2}", True),
        ("(1, -2)", r"\left(1,-2\right)", True),
        ("(1, -2)", "(-2, 1)", False),
        ("1, 4, 9", "9,1,4", True),
        ("1, 4, 9", "1, 4", False),
        (r"3 \pm \sqrt{2}", r"3 - \sqrt{2}, 3 + \sqrt{2}", True),
        ("[0, 3)", "[0, 3]", False),
        (r"(0, 2) \cup (5, 6)", r"(0,2)\cup(5,6)", True),
        (r"\$12,\!500", "12500", True),
        (r"(-\infty, 2] \cup (5, 6)", r"(-\infty,2]\cup(5,6)", True),
        ("(x + 2)(x - 2)", "x^2 - 4", True),
        ("x - y", "y - x", False),
        ("0.25x", r"\frac{x}{4}", True),
        ("x = 9", "9", True),
        ("4(5)", "20", True),
        ("4(5)", "9", False),
        (r"\sin 30^\circ", r"\frac{1}{2}", None),
    ],
)
def test_answers_as_formulas(stated, right, same):
    assert same_answer(stated, right) is same


@pytest.mark.long
@needs_sympy
def test_hostile_answers_end_and_leave_the_process_usable():
    assert same_answer("2^{3^{4^{5^{6}}}}", "7") is None
    assert same_answer("((((((x+1)^9+1)^9+1)^9+1)^9+1)^9+1)^9", "x!") is not True
    assert same_answer(r"2\sqrt{7}", r"\sqrt{28}") is True


@needs_sympy
def test_without_the_extra_only_text_is_compared(monkeypatch):
    monkeypatch.setattr(process, "is_available", lambda: False)
    assert same_answer(r"2\sqrt{7}", r"\sqrt{28}") is None
    assert same_answer(r"2\sqrt{7}", r"$2\sqrt{7}$") is True


def decided(text, given=""):
    return [text[one.start : one.end].strip() for one in decide(text, given)]


@needs_sympy
@pytest.mark.parametrize(
    ("text", "given", "held"),
    [
        (r"\((a+b)^2 = a^2 + 2ab + b^2\)", "", ["(a+b)^2 = a^2 + 2ab + b^2"]),
        (r"\((a+b)^2 = a^2 + b^2\)", "", []),
        (r"$3y + 4 = 25$, so $3y = 21$ and $y = 7$.", "", ["3y = 21", "y = 7"]),
        (r"$3y + 4 = 25$, so $3y = 29$, so $y = \\frac{29}{3}$.", "", []),
        (r"$3y + 4 = 25$, so $y = 8$, so $2y = 16$.", "", []),
        (r"$w^2 = 16$, so $w = 5$, so $w + 1 = 6$.", "", []),
        (r"$y = 7$ and $7 = 7$.", "", []),
        (r"So $y = 7$.", "Let $3y + 4 = 25$.", ["y = 7"]),
        (r"Let $s = 5t$. With $t = 4$ we get $s = 20$.", "It starts at $t = 4$.", ["s = 5t", "t = 4", "s = 20"]),
        (r"Let $s = 5t$. With $t = 4$ we get $s = 21$.", "", ["s = 5t"]),
        (r"$p + q = 10$ and $p - q = 4$, thus $2p = 14$, $p = 7$, $q = 3$.", "", ["2p = 14", "p = 7", "q = 3"]),
        (r"$z^2 = 9$ and $z = 3$, or $z = -3$.", "", ["z = 3", "z = -3"]),
        (r"$z^2 = 9$ and $z = 4$.", "", []),
        (
            r"$pq = 12$, $rq = 9$. $p = \frac{12}{q}$, $r = \frac{9}{q}$. $rs = 6$, $s = \frac{6q}{9}$, $ps = 8$.",
            "",
            [r"p = \frac{12}{q}", r"r = \frac{9}{q}", r"s = \frac{6q}{9}", "ps = 8"],
        ),
        (r"$p = \frac{12}{q}$, $s = \frac{6q}{9}$, so $ps = 7$.", "", [r"p = \frac{12}{q}", r"s = \frac{6q}{9}"]),
        # p = q + 1 and q = p + 1 contradict each other.
        (r"Say $p = q + 1$ and $q = p + 1$. So $p = 3$ and $q = 5$ and $pq = 16$.", "", ["p = q + 1"]),
        # The axis y = 0 contradicts what is known of another y. From a contradiction anything would follow.
        (
            r"The axis is $y = 0$. $2x^2 - 8y + 26 = 0$. With $a + b = 20$ we get $2a + 2b = 41$.",
            "$x^2 + y^2 - 24y + 72 = 0$ and $x^2 - y^2 + 16y - 46 = 0$ meet.",
            ["2x^2 - 8y + 26 = 0"],
        ),
        (
            r"$z^2 + z = 6$, so $(z + 3)(z - 2) = 0$. With $z - 2 = 0$ we get $z = 2$.",
            "",
            [
                "(z + 3)(z - 2) = 0",
                "z - 2 = 0",
                "z = 2",
            ],
        ),
        (r"$u^2 = 3v$ and $v = 12$, so $u = 6$.", "", ["u = 6"]),
        (r"$k^2 = 5$, so $k = \sqrt{5}$, so $k = 2.236$.", "", [r"k = \sqrt{5}"]),
        (
            r"\[ \text{Area} = \frac{1}{2} \times 6 \times 4 \] \[ \text{ area } = 12 \] \[ \text{Area} = 12 \]",
            "",
            [r"\text{Area} = \frac{1}{2} \times 6 \times 4", r"\text{ area } = 12", r"\text{Area} = 12"],
        ),
        (
            r"\[ \text{Area} = 3 \times 4 \] \[ \text{Area} = 13 \] \[ \text{Price} = 9 \]",
            "",
            [r"\text{Area} = 3 \times 4"],
        ),
        (r"\[ \text{Share} = \frac{4t}{8t} = \frac{1}{2} \]", "", [r"\text{Share} = \frac{4t}{8t} = \frac{1}{2}"]),
        (r"$A = 12 = 12$, $B = 3 \cdot 4 = 13$", "", []),
        (
            r"$\angle PQR + 64^\circ = 180^\circ$, so $m\angle PQR = 116^\circ$, so $\angle RQP = 116^\circ$.",
            "",
            [r"m\angle PQR = 116^\circ"],
        ),
        (r"$2n - 1 = 13$ gives $2n = 14$ and $n = \boxed{7}", "", ["2n = 14", r"n = \boxed{7}"]),
        (r"$2n - 1 = 13$ gives $2n = 14$ and $n = \boxed{8}", "", ["2n = 14"]),
        (
            "It is \\begin{align*} (m+1)m - m^2 &= m^2 + m - m^2 \\\\ &= \\boxed{m}",
            "",
            [
                "(m+1)m - m^2 &= m^2 + m - m^2",
                "&= \\boxed{m}",
            ],
        ),
        (
            "\\begin{align*}\n(x+1)(x-1) + 1 &= x^2 - 1 + 1 \\\\\n&= x^2.\n\\end{align*}",
            "",
            ["(x+1)(x-1) + 1 &= x^2 - 1 + 1", "&= x^2."],
        ),
        (r"$(1 + i)^2 = 2i$", "", ["(1 + i)^2 = 2i"]),
        (r"$\sin^2 x + \cos^2 x = 1$", "", [r"\sin^2 x + \cos^2 x = 1"]),
        (r"$x \equiv 3 \pmod 7$, $x = 3 \text{ or } 10$, $f(2) = 4$", "", []),
    ],
)
def test_equations_with_letters(text, given, held):
    assert decided(text, given) == held


@needs_sympy
@pytest.mark.parametrize("text", ["\\[x = ", "$x = $", "\\(", "$$", "\\begin{align}", "$a = b, "])
def test_long_texts_end(text):
    assert len(list(decide(text * (49_000 // len(text))))) <= algebra.MAX_EQUATIONS
    assert list(decide(text * 200_000)) == []


@needs_sympy
def test_a_solution_with_algebra():
    question = "Solve $4x + 6 = 30$. What is $x$?"
    text = "We have $4x + 6 = 30$, so $4x = 24$ and $x = 6$. The answer is $\\boxed{6}$."
    solution = gsm8k.read(question, text)
    assert [step.equation.result for step in solution.steps] == [30, 24, 6]
    assert solution.unread == ()
    with pytest.raises(UnreadableError, match="the last step gives 24"):
        gsm8k.read(question, text.replace("x = 6$", "x = 7$").replace("boxed{6}", "boxed{7}"))


@needs_sympy
@pytest.mark.parametrize(
    ("final", "answer", "verdict"),
    [
        (r"3\sqrt{5}", r"\sqrt{45}", "correct"),
        (r"3\sqrt{5}", r"\sqrt{15}", "wrong"),
        (r"\sqrt{25}", "5", "correct"),
        (r"5\pi", "5", "wrong"),
        ("5^2", "5", "wrong"),
        (r"\text{five}", "5", "malformed"),
    ],
)
def test_verdicts_on_formulas(final, answer, verdict):
    assert gsm8k.verify("", f"$9 \\cdot 5 = 45$. $\\boxed{{{final}}}$", answer).answer == verdict


@needs_sympy
def test_an_answer_of_the_record_confirms_a_formula():
    text = "The side is $\\sqrt{36 + 9} = \\sqrt{45}$ long, that is $\\boxed{3\\sqrt{5}}$."
    assert gsm8k.read("", text, r"\sqrt{45}").answer == r"\sqrt{45}"
    assert compress_solution(gsm8k.read("", text.replace("3\\sqrt{5}", "6\\sqrt{5}/2"), "3\\sqrt{5}"), "pruned")
    assert gsm8k.read("", "$20 + 5 = 25$, so it is $\\boxed{\\sqrt{25}}$.", "5").answer == "5"
    with pytest.raises(UnreadableError):
        gsm8k.read("", text, r"\sqrt{15}")
    with pytest.raises(UnreadableError):
        gsm8k.read("", text)
