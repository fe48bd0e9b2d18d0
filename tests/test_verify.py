"""The verifier: gold passes everywhere, one changed token fails, and no text makes it raise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core.arithmetic import BinOp
from zipthought.core.compress import compress
from zipthought.core.problem import Problem
from zipthought.core.trace import Trace
from zipthought.core.verify import ANSWERS, STEP_VERDICTS, check
from zipthought.solutions import gsm8k
from zipthought.surfaces import SURFACES, english, render, render_problem, terse, verify
from zipthought.tasks.sampling import SamplerConfig, sample, sample_batch

DRUMS = Problem(23, {"kites": 3, "drums": BinOp("+", "kites", 4), "oaks": 7}, "drums")
LAMPS = Problem(
    23,
    {
        "kites": 3,
        "drums": BinOp("+", "kites", 4),
        "oaks": 2,
        "lamps": BinOp("*", "drums", 2),
        "tents": BinOp("-", "lamps", 3),
    },
    "tents",
)
SUM = Problem(
    23, {"kites": 3, "drums": 8, "lamps": BinOp("+", "kites", "drums"), "tents": BinOp("*", "lamps", 3)}, "tents"
)
GOLD = "Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. Answer: 7."
FORMATS = [
    "explicit",
    "composed:2",
    "composed:3",
    "composed:50",
    "implicit:1",
    "implicit:2",
    "implicit:50",
    "answer-only",
]
ORDERS = ["forward", "backward", "hierarchical"]


def verdicts(text: str, problem: Problem) -> list[str]:
    return [step.verdict for step in verify(text, problem).steps]


@pytest.mark.parametrize("surface", sorted(SURFACES))
@pytest.mark.parametrize("task", ["chain", "tree"])
@pytest.mark.parametrize("modulus", [2, 7, 23, 100])
def test_gold_is_faithful(task, modulus, surface):
    for n_ops in (1, 2, 3, 7, 10):
        for number_range in (5, 150):
            space = f"tree:width={min(3, n_ops + 1)}" if task == "tree" else task
            config = SamplerConfig(n_ops=n_ops, task=space, modulus=modulus, number_range=number_range)
            for row in range(2):
                problem = sample_batch(config, "train", range(2)).problem(row)
                for fmt in FORMATS:
                    for order in ORDERS if task == "chain" else ORDERS[:1]:
                        verdict = verify(render(compress(problem, fmt, order), surface), problem)
                        assert verdict.faithful, (fmt, order, verdict)
                        assert sum(verdict.granularity) == n_ops
                        if order == "forward" and ":" in fmt:
                            assert max(verdict.granularity) <= int(fmt.split(":")[1])
                            assert {s.form for s in verdict.steps} <= {"given", "implicit", "explicit", "composed"}


@pytest.mark.parametrize(
    ("fmt", "granularity", "forms"),
    [
        ("explicit", (1, 1, 1), ["given", "explicit", "explicit", "explicit"]),
        ("composed:2", (2, 1), ["given", "composed", "explicit"]),
        ("implicit:2", (2, 1), ["given", "implicit", "implicit"]),
        ("answer-only", (3,), []),
    ],
)
def test_granularity_and_form(fmt, granularity, forms):
    verdict = verify(render(compress(LAMPS, fmt)), LAMPS)
    assert verdict.granularity == granularity
    assert [step.form for step in verdict.steps] == forms
    assert verdict.ops_per_step == sum(granularity) / len(granularity)


# One changed token ----------------------------------------------------------------------------------------------------


def is_true(text: str, problem: Problem, surface: str) -> bool:
    """Whether every equation of a text holds, found without the library: Python's own arithmetic on the true values.

    It does not ask whether an equation is one of the problem's, nor whether the steps suffice: a text that is not even
    true by this measure has to be refused.
    """
    residues: dict[str, int] = {}
    waiting = dict(problem.definitions)
    while waiting:
        for name, definition in list(waiting.items()):
            if isinstance(definition, int):
                residues[name] = definition % problem.modulus
            elif all(x in residues for x in definition[1:] if isinstance(x, str)):
                left, right = (residues.get(x, x) for x in definition[1:])
                residues[name] = {"+": left + right, "-": left - right, "*": left * right}[
                    definition[0]
                ] % problem.modulus
            else:
                continue
            del waiting[name]
    ending = {"english": r"(?:(.*)\. )?Answer: (\w+)\.", "terse": r"(?:(.*) \. )?answer (\w+) \."}[surface]
    whole = re.fullmatch(ending, text)
    if not whole or whole[2] != str(residues[problem.target]):
        return False
    known = residues
    sentences = whole[1].split(". " if surface == "english" else " . ") if whole[1] else []
    defines = [re.fullmatch(r"(?:Define (\w+) as ([A-Z]{2}); so |So )(.*)", sentence) for sentence in sentences]
    if any(defines):
        pairs = [define.group(1, 2) for define in defines if define and define[1]]
        if len(dict(pairs)) < len(pairs) or any(name not in residues for name, _ in pairs) or None in defines:
            return False
        known = {alias: residues[name] for name, alias in pairs}
        sentences = [define[3] for define in defines]
    for sentence in sentences:
        sides = sentence.split(" = ")
        if not re.fullmatch(r"[A-Za-z]+", sides[0]) or len(sides) < 2:
            return False
        values = set()
        for side in sides:
            if set(re.findall(r"[A-Za-z]+", side)) - set(known) or not re.fullmatch(r"[\w() +*-]+", side):
                return False
            # Every text here is ours but for one token.
            values.add(eval(re.sub(r"(\d) ?(?=[A-Za-z(])", r"\1*", side), {}, dict(known)) % problem.modulus)
        if len(values) > 1:
            return False
    return True


def mutations(text: str, words: list[str], modulus: int):
    """All texts with one number, operator or word changed."""
    for token in re.finditer(r"\d+|[A-Za-z]+|[-+*]", text):
        old = token[0]
        if old.isdigit():
            others = {str(int(old) + 1), str(int(old) + modulus), f"0{old}", str((int(old) * 3 + 5) % modulus)}
        elif old in "+-*":
            others = set("+-*/")
        else:
            others = {*words, "zzz", "ZZ"}
        for new in sorted(others - {old}):
            yield text[: token.start()] + new + text[token.end() :]


@pytest.mark.parametrize("surface", sorted(SURFACES))
@pytest.mark.parametrize(("task", "modulus"), [("chain", 23), ("chain", 100), ("chain", 7), ("tree", 23)])
def test_one_changed_token_fails_unless_it_is_true(task, modulus, surface):
    tried = 0
    for index in range(3):
        problem = sample(n_ops=4, task=task, modulus=modulus, index=index, number_range=6)
        for fmt in ["explicit", "composed:2", "implicit:2", "answer-only"]:
            for order in ORDERS if task == "chain" else ORDERS[:1]:
                text = render(compress(problem, fmt, order), surface)
                assert is_true(text, problem, surface)
                words = [*problem.definitions, *dict.fromkeys(re.findall(r"\b[A-Z]{2}\b", text))]
                for changed in mutations(text, words, modulus):
                    tried += 1
                    if verify(changed, problem, surface=surface).faithful:
                        assert is_true(changed, problem, surface), changed
    assert tried > 1000


@pytest.mark.parametrize(
    "text",
    [
        GOLD,
        GOLD.replace("QB", "ZZ"),
        GOLD.replace("QB", "XX").replace("MX", "QB").replace("XX", "MX"),
        f"  {GOLD}\n",
    ],
    ids=["as rendered", "another alias", "aliases swapped", "blanks around it"],
)
def test_a_text_with_the_same_meaning_stays_faithful(text):
    assert is_true(text.strip(), DRUMS, "english")
    assert verify(text, DRUMS).faithful


def test_a_text_that_holds_modulo_m_alone_is_charged_to_a_step():
    """A number written as another representative (26 for 3), or another name of equal value, is a fault of its step."""
    numbers = [text for text in mutations(GOLD, ["oaks", "ZZ"], 23) if not re.search(r"\b0\d", text)]
    equal = [text for text in numbers if is_true(text, DRUMS, "english")]
    assert len(equal) == 6
    for text in equal:
        verdict = verify(text, DRUMS)
        assert not verdict.faithful
        assert verdict.answer == "correct"
        assert [step.verdict for step in verdict.steps] != ["valid", "valid"], text


# Refused answers ------------------------------------------------------------------------------------------------------

STEPS = GOLD.removesuffix("Answer: 7.")


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        ("Answer: 8.", "wrong"),
        ("Answer: 30.", "wrong"),  # 30 is 7 modulo 23, but a residue is written as 0..22
        ("Answer: 7.0.", "malformed"),  # not a whole number
        ("Answer: 07.", "malformed"),  # numbers have one spelling
        ("Answer: +7.", "malformed"),  # so do signs
        ("Answer: -16.", "malformed"),  # -16 is 7 modulo 23, and still not a residue
        ("Answer: 3 + 4.", "malformed"),  # not carried out
        ("Answer: seven.", "malformed"),
        ("Answer: ٧.", "malformed"),  # 7 in Arabic-Indic digits: isdigit() in Unicode, int() would read it
        ("Answer: ７.", "malformed"),  # full-width
        ("Answer: ⁷.", "malformed"),  # superscript: isdigit(), and int() raises
        ("Answer: " + "7" * 10**6 + ".", "wrong"),  # int() refuses more than 4,300 digits
        ("Answer: 7", "malformed"),  # no period: the text may have been cut after the first of two digits
        ("Answer: 7. ", "correct"),  # white space at the ends says nothing
        ("Answer: 7 .", "malformed"),
        ("Answer:7.", "malformed"),
        ("Answer: .", "malformed"),
        ("Answer: ", "malformed"),
        ("Answer: 8. Answer: 7.", "conflicting"),
        ("Answer: 7. Answer: 8.", "conflicting"),
        ("Answer: 7. Answer: 7. extra", "malformed"),  # Both finals are 7.
        ("Answer: 8. Answer: 7. extra", "conflicting"),
        ("Answer: 7. Wait, let me see", "malformed"),  # text after the answer
        ("Answer: 7. Define oaks as ZZ; so ZZ = 7.", "malformed"),
        ("answer: 7.", "missing"),  # another word
        ("The answer is 7.", "missing"),
        ("", "missing"),
    ],
)
def test_answers(tail, answer):
    verdict = verify(STEPS + tail, DRUMS, surface="english")
    assert verdict.answer == answer
    assert verdict.faithful == (answer == "correct")


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        ("answer 7 .", "correct"),
        ("answer 30 .", "wrong"),
        ("answer 07 .", "malformed"),
        ("answer 7.0 .", "malformed"),
        ("answer ٧ .", "malformed"),
        ("answer 3 + 4 .", "malformed"),
        ("answer 7", "malformed"),
        ("answer", "malformed"),
        ("answer 7 . answer 8 .", "conflicting"),
        ("answer 7 . oaks = 7 .", "malformed"),
        ("", "missing"),
    ],
)
def test_terse_answers(tail, answer):
    verdict = verify("kites = 3 . drums = kites + 4 = 3 + 4 = 7 . " + tail, DRUMS, surface="terse")
    assert verdict.answer == answer
    assert verdict.faithful == (answer == "correct")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        f"End with 'Answer: 7.' {render_problem(DRUMS)}",  # the answer inside an echo of the prompt
        f"Answer: 7. {render_problem(DRUMS)}",
        f"{render_problem(DRUMS)} Answer: 7.",  # an answer, but not after steps: the echo is text that cannot be read
        f"{GOLD} {GOLD}",  # everything twice
        f"So {GOLD}",
        GOLD.replace(". Answer", " Answer"),
        "Answer: 7. Answer: 7.",
        ". Answer: 7.",
        "drums = 7. Answer: 7.",  # the start was never read
        "kites = 3. Answer: 7.",  # no step reaches the target
        "Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4. Answer: 7.",  # no value
        "oaks = 7. Answer: 7.",  # a distractor that has the value of the target
    ],
)
def test_not_faithful(text):
    for surface in (None, *SURFACES):
        assert not verify(text, DRUMS, surface=surface).faithful


def test_an_empty_text_settles_nothing():
    verdict = verify("", DRUMS)
    assert (verdict.answer, verdict.complete, verdict.granularity, verdict.ops_per_step) == ("missing", False, (), None)


# Steps ----------------------------------------------------------------------------------------------------------------

K, D = "Define kites as QB; so QB = 3. ", "Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. "
L, T = "Define lamps as AE; so AE = MX * 2 = 7 * 2 = 14. ", "Define tents as RZ; so RZ = AE - 3 = 14 - 3 = 11. "
V, A, P, U, R, X = "valid", "wrong_arithmetic", "wrong_premise", "undefined_reference", "redefined", "unparseable"


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (K + D + L + T, [V, V, V, V]),
        # A wrong value is charged to the step that states it; the next ones go by what stands there.
        (
            K
            + D.replace("= 7", "= 8")
            + L.replace("7 * 2 = 14", "8 * 2 = 16")
            + T.replace("14 - 3 = 11", "16 - 3 = 13"),
            [V, A, V, V],
        ),
        (K + D.replace("= 7", "= 8") + L + T, [V, A, A, V]),
        # So is one that is right but for its reduction.
        (K + D.replace("= 7", "= 30") + L.replace("7 * 2", "30 * 2") + T, [V, A, V, V]),
        (K + D.replace("3 + 4 = 7", "4 + 4 = 8"), [V, A]),
        (K + D.replace("QB + 4", "QB + 5").replace("3 + 4 = 7", "3 + 5 = 8"), [V, P]),
        (K + D.replace("+", "*").replace("= 7", "= 12"), [V, P]),
        (K.replace("3", "5"), [P]),
        (K.replace("= 3", "= 3 = 3"), [P]),
        (K.replace("= 3", "= 26"), [P]),
        (K + "Define oaks as ZZ; so ZZ = 2. " + D, [V, V, V]),  # needless, but the problem says so
        (D, [U]),  # an alias that nothing defines
        (K + D.replace("= QB", "= kites"), [V, X]),  # a name where its alias belongs
        (K + "lamps = 2QB + 8. ", [V, U]),  # an alias where the name belongs
        (D + K, [U, V]),  # defined, but only later
        (K + L.replace("MX", "ZZ"), [V, U]),
        (K + "Define ghosts as GG; so GG = 3. ", [V, U]),  # a quantity that the problem does not have
        (K + K, [V, R]),
        (K + K.replace("QB", "QC"), [V, R]),  # a second alias
        (K + D.replace("MX", "QB", 1), [V, R]),  # an alias given twice
        (K + D + "So MX = QB + 4 = 3 + 4 = 7. ", [V, V, R]),
        ("Hm. " + K + D, [X, V, V]),
        (K + D.replace("4 = 7", "4 = 7 = 7"), [V, V]),  # says the same once more
        (K + D.replace(" = 3 + 4", ""), [V, V]),  # leaves the values out, and is right
        (K + D.replace(" = 3 + 4 = 7", " = 3 + 4 = 8"), [V, A]),
        (K + D.replace("3 + 4 = 7", "4 + 3 = 7"), [V, A]),  # not the values of QB + 4
        (K + "Define drums as MX; so MX = 7 = QB + 4. ", [V, P]),
        (K + "Define lamps as AE; so AE = (QB + 4) * 2 = (3 + 4) * 2 = 14. ", [V, V]),
        (K + "Define lamps as AE; so AE = (QB + 4) * 2 = (3 + 4) * 2 = 15. ", [V, A]),
        (K + "Define lamps as AE; so AE = 2QB + 8 = 2(3) + 8 = 14. ", [V, V]),
        (K + "Define lamps as AE; so AE = 2QB + 9 = 2(3) + 9 = 15. ", [V, P]),
        (K + "Define lamps as AE; so AE = 2QB + 8 = 2QB + 9 = 2(3) + 9 = 15. ", [V, A]),
        (K + "Define drums as MX; so MX = AE - 7. ", [V, U]),
        ("kites = 3. lamps = 14. ", [V, V]),
        ("kites = 3. lamps = 15. ", [V, A]),
        ("kites = 3. lamps = 37. ", [V, A]),  # 14 modulo 23, not written as a residue
        ("kites = 3. lamps = 15. tents = 12. ", [V, A, V]),
        ("kites = 3. lamps = 14. lamps = 14. ", [V, V, R]),
        ("kites = 3. drums = 3 + 4. ", [V, P]),
    ],
)
def test_steps(steps, wanted):
    assert verdicts(steps + "Answer: 11.", LAMPS) == wanted


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (
            "kites = 3 . drums = 8 . lamps = kites + drums = 3 + 8 = 11 . tents = lamps * 3 = 11 * 3 = 10 .",
            [V, V, V, V],
        ),
        ("kites = 3 . drums = 8 . lamps = drums + kites = 8 + 3 = 11 .", [V, V, V]),  # a sum in the other order
        ("kites = 3 . drums = 8 . lamps = drums + kites = 3 + 8 = 11 .", [V, V, A]),  # not the values of drums + kites
        ("kites = 3 . drums = 8 . tents = 3 * ( drums + kites ) = 3 * ( 8 + 3 ) = 10 .", [V, V, V]),
        ("kites = 3 . drums = 8 . lamps = kites + drums = 3 + 8 = 12 .", [V, V, A]),
        ("kites = 3 . drums = 8 . lamps = kites + drums = 11 .", [V, V, V]),
        ("kites = 3 . drums = 8 . lamps = kites + ghosts = 3 + 8 = 11 .", [V, V, U]),
        ("kites = 3 . lamps = kites + drums = 3 + 8 = 11 .", [V, U]),
        ("kites = 3 . drums = 8 . tents = ( kites + drums ) * 3 = ( 3 + 8 ) * 3 = 10 .", [V, V, V]),
        ("kites = 3 . drums = 8 . tents = 3 ( kites + drums ) .", [V, V, P]),  # linear forms are for chains
        ("kites = 3 . drums = 8 . tents = 10 .", [V, V, V]),
    ],
)
def test_tree_steps(steps, wanted):
    assert verdicts(steps + " answer 10 .", SUM) == wanted


def test_old_answer_of_a_changed_problem_fails():
    # Counterfactual memorization: one constant changed, the old text repeated.
    changed = Problem(23, {**LAMPS.definitions, "drums": BinOp("+", "kites", 5)}, "tents")
    for fmt in FORMATS:
        for order in ORDERS:
            assert not verify(render(compress(LAMPS, fmt, order)), changed).faithful


# No text raises -------------------------------------------------------------------------------------------------------

PROBLEMS = [sample(n_ops=5), sample(n_ops=5, task="tree"), DRUMS, SUM]
PIECES = sorted(
    {
        piece
        for problem in PROBLEMS
        for surface in SURFACES
        for fmt in FORMATS
        for order in (ORDERS if problem.is_chain else ORDERS[:1])
        for piece in re.findall(r"\w+|[^\w\s]| ", render(compress(problem, fmt, order), surface))
    }
    | {"Answer: ", "answer ", ". ", " . ", " = ", "Define ", " as ", "; so ", "So ", "(", ")", "\n", "٣", "0" * 30, "/"}
)


def holds(text: str) -> None:
    for problem in PROBLEMS:
        for surface in (None, *SURFACES):
            verdict = verify(text, problem, surface=surface)
            assert verdict.answer in ANSWERS
            assert {step.verdict for step in verdict.steps} <= set(STEP_VERDICTS)
            assert sum(verdict.granularity) <= len(problem.definitions)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=200))
def test_any_text(text):
    holds(text)


@settings(deadline=None, max_examples=250)
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_spliced_text(pieces):
    holds("".join(pieces))


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_texts_spliced_from_real_sentences(data):
    sentences: list[str] = []
    for _ in range(data.draw(st.integers(1, 3))):
        problem = data.draw(st.sampled_from(PROBLEMS))
        order = data.draw(st.sampled_from(ORDERS if problem.is_chain else ORDERS[:1]))
        text = render(
            compress(problem, data.draw(st.sampled_from(FORMATS)), order), data.draw(st.sampled_from(sorted(SURFACES)))
        )
        sentences += re.split(r"(?<=\. )", text)
    holds("".join(data.draw(st.permutations(sentences))))


# Adversarial sizes ----------------------------------------------------------------------------------------------------

HOSTILE = {
    "defines": lambda n: "Define a " * (n // 9),
    "sentences": lambda n: "The number of a equals the number of " * (n // 37),
    "operands": lambda n: "The number of a" + " equals the number of b plus" * (n // 28),
    "questions": lambda n: "What is the number of " + "a " * (n // 2),
    "open": lambda n: "So AB = " + "(" * n,
    "nested": lambda n: "Define drums as AB; so AB = " + "(" * (n // 6) + "3" + " + 1)" * (n // 6) + ". Answer: 7.",
    "long sum": lambda n: "Define drums as AB; so AB = AB" + " + 1" * (n // 4) + ". Answer: 7.",
    "terse sum": lambda n: "drums = kites" + " + 1" * (n // 4) + " . answer 7 .",
    "coefficients": lambda n: "Define drums as AB; so AB = " + "2(" * (n // 3) + "3" + ")" * (n // 3) + ". Answer: 7.",
    "chunk": lambda n: "So AB = " + "1(" * (n // 2) + "!",
    "digits": lambda n: "9" * n,
    "answers": lambda n: "Answer: 7. " * (n // 11),
    "colons": lambda n: "Answer:" * (n // 7),
    "equals": lambda n: "drums" + " = 3" * (n // 4),
    "stops": lambda n: ". " * (n // 2),
    "claims": lambda n: "drums = 99. " * (n // 12),
    "unknown": lambda n: "So QQ = QQ + ZZ = 3 + 4. " * (n // 25),
    "aliases": lambda n: "".join(
        f"Define a{'b' * (i % 50)} as {chr(65 + i % 26)}X; so AA = 3. " for i in range(n // 50)
    ),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_long_hostile_texts_are_judged(make):
    """200,000 characters each: nothing raises, nothing is faithful; what is not linear here takes minutes."""
    text = make(200_000)
    for module in (english, terse):
        assert not check(module.parse(text), DRUMS).faithful
        with pytest.raises(ValueError, match=r"."):
            module.parse_problem(text, 23)


def test_deep_nesting_does_not_recurse():
    text = "Define drums as AB; so AB = " + "(" * 100_000 + "3" + " + 1)" * 100_000 + ". Answer: 7."
    for body in (text, text.replace("so AB = ", "so AB = 2"), "So QB = " + "(" * 100_000 + "3" + ")" * 100_000 + "."):
        trace = english.parse(body)
        assert check(trace, DRUMS) == check(trace, DRUMS)
        assert trace == english.parse(body)
        assert isinstance(hash(trace), int)
        assert repr(trace)


def test_check_needs_no_text():
    assert check(Trace((), "7"), DRUMS).faithful


def test_a_verdict_counts_the_steps_and_tokens_of_its_text():
    text = "drums = kites + 4 = 3 + 5 = 7 . answer 7 ."
    verdict = verify(text, DRUMS, "terse")
    assert (verdict.n_steps, verdict.tokens) == (1, 15)
    assert gsm8k.verify("q", "2*7=14\n#### 14", "14").tokens == 10
