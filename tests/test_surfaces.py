"""Surfaces: rendering and then reading is the identity, for traces and for problems."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core.arithmetic import SCALE, BinOp
from zipthought.core.compress import compress
from zipthought.core.problem import Problem
from zipthought.core.trace import Step, Trace
from zipthought.surfaces import SURFACES, count_pieces, detect_surface, english, get_surface, render, terse
from zipthought.surfaces.expressions import read, write
from zipthought.tasks.sampling import SamplerConfig, sample

surfaces = st.sampled_from(sorted(SURFACES))
formats = st.sampled_from(["explicit", "answer-only"]) | st.builds(
    "{}:{}".format, st.sampled_from(["composed", "implicit"]), st.integers(1, 70)
)
orders = st.sampled_from(["forward", "backward", "hierarchical"])


@st.composite
def problems(draw, tasks=("chain", "tree"), most=64) -> Problem:
    n_ops, task = draw(st.integers(1, most)), draw(st.sampled_from(tasks))
    config = SamplerConfig(
        n_ops=n_ops,
        task=task if task == "chain" else f"{task}:width={draw(st.integers(2, min(n_ops + 1, 6)))}",
        modulus=draw(st.sampled_from([2, 7, 23, 100])),
        number_range=draw(st.sampled_from([5, 12, 150])),
        seed=draw(st.integers(0, 99)),
    )
    return sample(config, "train", draw(st.integers(0, 10**6)))


@settings(deadline=None, max_examples=150)
@given(problems(), formats, orders, surfaces)
def test_reading_a_rendered_trace_gives_it_back(problem, fmt, order, surface):
    trace = compress(problem, fmt, order if problem.is_chain else "forward")
    text = render(trace, surface)
    read_back = get_surface(surface).parse(text)
    assert read_back == trace
    assert surface == detect_surface(text).NAME


@settings(deadline=None, max_examples=100)
@given(problems(), surfaces)
def test_reading_a_rendered_problem_gives_it_back(problem, surface):
    module = get_surface(surface)
    text = module.render_problem(problem)
    read_back = module.parse_problem(text, problem.modulus)
    assert read_back == problem
    assert list(read_back.definitions) == list(problem.definitions)  # sentences in the same order
    assert module.render_problem(read_back) == text


@settings(deadline=None, max_examples=300)
@given(
    st.recursive(
        st.integers(0, 10**17) | st.sampled_from(["kites", "drums"]),
        lambda inner: st.builds(BinOp, st.sampled_from("+-*"), inner, inner),
        max_leaves=20,
    )
)
def test_any_expression_reads_back(expression):
    read_back = read(write(expression, str), str)
    # A side that opens with a parenthesis and is not multiplied reads as scaled by 1 (FORMATS.md 3, "backward").
    if isinstance(read_back, BinOp) and SCALE in repr(read_back):
        assert write(read_back, str) == write(expression, str)
    else:
        assert read_back == expression


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "3 +",
        "+ 3",
        "( 3",
        "3 )",
        ") 3 (",
        "( )",
        "3 4",
        "x 3",
        "x y",
        "( x ) 3",
        "3 / 4",
        "3.5",
        "-3",
        "٣",
        "²",
        "07",
        "1" * 19,
    ],
)
def test_what_is_no_expression(text):
    assert read(text.split(" "), str) is None


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("2 x", BinOp(SCALE, 2, "x")),
        ("2 ( x + 4 ) + 8", BinOp("+", BinOp(SCALE, 2, BinOp("+", "x", 4)), 8)),
        ("( 3 ) + 8", BinOp("+", BinOp(SCALE, 1, 3), 8)),
        ("( 3 + 4 ) * 2", BinOp("*", BinOp("+", 3, 4), 2)),
        ("x - 2 - 1", BinOp("-", BinOp("-", "x", 2), 1)),
        ("x * 3 * 2", BinOp("*", BinOp("*", "x", 3), 2)),
        ("x + 3 * 2", BinOp("+", "x", BinOp("*", 3, 2))),
    ],
)
def test_expressions_by_hand(text, expression):
    assert read(text.split(" "), str) == expression
    assert write(expression, str) == text.split(" ")


def test_aliases_are_those_defined_when_they_are_used():
    # Backward: the second line uses an alias that the third one defines.
    text = (
        "Define kites as QB; so QB = 3. Define lamps as AE; so AE = 2MX."
        " Define drums as MX; so AE = 2MX = 2(QB + 4) = 2QB + 8 = 2(3) + 8 = 14. Answer: 14."
    )
    steps = english.parse(text).steps
    assert [step.name for step in steps] == ["kites", "lamps", "lamps"]
    assert steps[1].sides == (BinOp(SCALE, 2, "drums"),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("define kites as QB; so QB = 3. Answer: 3.", "define kites as QB; so QB = 3"),
        ("Define kites as QB, so QB = 3. Answer: 3.", "Define kites as QB, so QB = 3"),
        ("Define kites as QB; so QB  = 3. Answer: 3.", "Define kites as QB; so QB  = 3"),  # two spaces
        ("Define kites as QB; so QB = 3 . Answer: 3.", "Define kites as QB; so QB = 3 "),
        ("Define kites as QB; so QB = (3 . Answer: 3.", "Define kites as QB; so QB = (3 "),
        ("Define kites as QB; so QB = 03. Answer: 3.", "Define kites as QB; so QB = 03"),  # numbers have one spelling
        ("Define kites as QB; so QB = +3. Answer: 3.", "Define kites as QB; so QB = +3"),
        ("Define kites as QB; so QB = 3+0. Answer: 3.", "Define kites as QB; so QB = 3+0"),
        ("Define kites as QB; so QB = ٣. Answer: 3.", "Define kites as QB; so QB = ٣"),  # digits of another script
        ("Define kites as QBX; so QBX = 3. Answer: 3.", "Define kites as QBX; so QBX = 3"),
        ("QB = 3. Answer: 3.", "QB = 3"),  # an alias without Define or So
        ("So kites = 3. Answer: 3.", "So kites = 3"),
        ("Then it is three. Answer: 3.", "Then it is three"),
    ],
)
def test_english_is_exact(text, sentence):
    (step,) = english.parse(text).steps
    assert step == Step(sentence, (), "unparseable")


@pytest.mark.parametrize(
    ("module", "text", "steps"),
    [
        (english, ". Answer: 3.", 1),  # an empty sentence is one that cannot be read, not none
        (english, "kites = 3. . Answer: 3.", 2),
        (terse, "kites = 3 .  . answer 3 .", 2),
        (terse, ". answer 3 .", 1),
    ],
)
def test_an_empty_sentence_is_not_skipped(module, text, steps):
    trace = module.parse(text)
    assert len(trace.steps) == steps
    assert "unparseable" in {step.fault for step in trace.steps}


@pytest.mark.parametrize("module", [english, terse])
@pytest.mark.parametrize(
    "text", ["", " ", ".", ". ", "Answer:", "Answer: .", "answer", "answer .", "=", " = ", "? ", "Define", "So "]
)
def test_scraps_of_text_raise_nothing(module, text):
    trace = module.parse(text)
    assert isinstance(trace, Trace)
    with pytest.raises(ValueError, match=r"."):
        module.parse_problem(text, 23)


@pytest.mark.parametrize(
    ("module", "text", "what"),
    [
        (english, "The number of kites equals 3.", "cannot read"),
        (english, "The number of kites equals -3. What is the number of kites?", "cannot read"),
        (english, "The number of kites equals 03. What is the number of kites?", "cannot read"),
        (english, "The number of kites equals 3. What is the number of drums?", "no sentence defines"),
        (english, "The number of a equals 3. The number of a equals 4. What is the number of a?", "twice"),
        (english, "The number of a equals the number of b plus 1. What is the number of a?", "'b' is used"),
        (english, "The number of a equals the number of a plus 1. What is the number of a?", "circular"),
        (terse, "kites = 3 .", "ends with"),
        (terse, "kites = 3 . ? drums", "no sentence defines"),
        (terse, "kites = 3 . kites = 4 . ? kites", "twice"),
        (terse, "kites = 3 . drums = 2 kites . ? drums", "cannot read"),  # a coefficient is no operation
        (terse, "kites = ( 3 ) . ? kites", "cannot read"),
        (terse, "kites = 3 . drums = 4 + kites . ? drums", "cannot read"),
        (terse, "kites = 3 . drums = kites + 1 + 1 . ? drums", "cannot read"),
        (terse, "kites = 3 . drums = kites . ? drums", "cannot read"),
    ],
)
def test_prompts_that_are_refused(module, text, what):
    with pytest.raises(ValueError, match=what):
        module.parse_problem(text, 23)


def test_names_of_several_words():
    text = (
        "The number of red kites equals 3. The number of T-shirts equals the number of red kites plus 4."
        " What is the number of T-shirts?"
    )
    problem = english.parse_problem(text, 23)
    assert problem.definitions == {"red kites": 3, "T-shirts": BinOp("+", "red kites", 4)}
    assert english.render_problem(problem) == text
    trace = compress(problem, "explicit")
    assert english.parse(english.render(trace)) == trace


def test_more_quantities_than_aliases():
    steps = tuple(Step(f"n{'x' * i}", (BinOp("+", 1, 1), 2)) for i in range(700))
    with pytest.raises(ValueError, match="676 aliases"):
        english.render(Trace(steps, "2"))


def test_unknown_surface():
    with pytest.raises(ValueError, match="use english, terse"):
        get_surface("french")


def test_pieces_are_words_and_punctuation():
    assert count_pieces("Define kites as QB; so QB = 3.") == 10
