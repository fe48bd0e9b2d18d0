"""The fuzzing harness: its second readers prove what is wrong and nothing else, and a short run finds nothing."""

import json
from random import Random

import pytest
from fuzz import growth, run
from fuzz.facts import evaluate
from fuzz.prose_reader import audit_prose
from fuzz.second_reader import audit

import zipthought as zt
from zipthought.core.arithmetic import BinOp
from zipthought.core.problem import Problem
from zipthought.core.verify import Verdict

CHAIN = Problem(23, {"oaks": 2, "kites": 3, "drums": BinOp("+", "kites", 4), "lamps": BinOp("*", "drums", 2)}, "lamps")
RIGHT = "kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 ."


NAMES = ["english", "terse", "countdown", "gsm8k"]


@pytest.mark.parametrize("names", [NAMES[:2], NAMES[2:]], ids="-".join)
def test_a_short_run_finds_nothing(names):
    summary = run.fuzz(2400, seed=20, names=names)
    assert summary["reasons"] == {}, json.dumps(summary["examples"][:5], indent=1)
    assert set(summary["texts"].values()) == {1200}


def test_a_text_is_a_function_of_seed_and_index():
    one, again, other = run.case(1, 77, NAMES), run.case(1, 77, NAMES), run.case(2, 77, NAMES)
    assert (one.text, one.how, one.source.prompt) == (again.text, again.how, again.source.prompt)
    assert other.text != one.text


def test_a_verifier_that_believes_everything_is_found_out(monkeypatch):
    def believe(text, problem, surface=None):
        return Verdict("correct", (), True, (1,) * (problem.n_ops + 1))

    monkeypatch.setattr(zt, "verify", believe)
    reasons = run.fuzz(1000, seed=0, names=["terse", "english"])["reasons"]
    found = {reason.split(" / ", 1)[1] for reason in reasons}
    kinds = "answer", "value", "relation", "residue", "substitution", "undefined", "unread", "missing chain", "restated"
    assert {f"false_accept / {kind}" for kind in kinds} <= found
    assert "false_credit / singles, a faithful text" in found


def test_a_verifier_that_raises_or_refuses_is_found_out(monkeypatch):
    monkeypatch.setattr(zt, "verify", lambda text, problem, surface=None: 1 // ("+" not in text))
    reasons = run.fuzz(60, seed=0, names=["terse"])["reasons"]
    assert "terse / exception / ZeroDivisionError" in reasons
    monkeypatch.setattr(zt, "verify", lambda text, problem, surface=None: Verdict("missing", (), False, ()))
    assert run.fuzz(200, seed=0, names=["terse"])["findings"]["false_refusal"]["terse"]


def test_examples_are_made_smaller(monkeypatch):
    monkeypatch.setattr(zt, "verify", lambda text, problem, surface=None: Verdict("correct", (), "lamps" in text, ()))
    source = run.gold(Random(0), "terse")
    source.problem, source.text = CHAIN, RIGHT.replace("* 2 = 7", "* 2 = 8")
    small = run.shrink(source, source.text, run.Finding("false_accept", "value", ""))
    assert len(small) < len(source.text)
    assert "lamps" in small


def test_the_command_writes_a_summary_and_reruns_one_text(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert run.main(["--texts", "40", "--kinds", "terse", "--json", str(path)]) == 0
    assert json.loads(path.read_text())["texts"] == {"terse": 40}
    capsys.readouterr()
    assert run.main(["--only", "7", "--kinds", "terse"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == run.case(0, 7, ["terse"]).text


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("= 7 .", "= 8 .", "value"),
        ("3 + 4", "4 + 3 + 0 - 1", "value"),
        ("= 7 .", "= 30 .", "residue"),
        ("kites + 4", "kites * 10", "relation"),
        ("kites + 4 = 3 + 4", "oaks + 5 = 2 + 5", "relation"),
        ("3 + 4", "2 + 5", "substitution"),
        ("kites = 3 . ", "", "undefined"),
        ("= 3 + 4 = 7 .", ".", "undefined"),
        ("drums = kites", "Maybe drums = kites", "unread"),
        ("drums = kites", "drums = = kites", "unread"),
        ("kites + 4", "( kites + 4", "unread"),
        ("3 + 4", "٣ + 4", "unread"),
        ("lamps = drums * 2 = 7 * 2 = 14 . ", "", "missing chain"),
        (" = 7 * 2 = 14 .", " .", "missing chain"),
        ("drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2", "drums = kites + 4 . lamps", "restated"),
        ("answer 14", "answer 37", "answer"),
        ("answer 14", "answer 14 . kites = 3", "answer"),
        ("answer 14", "Answer 3 . answer 14", "answer"),
        ("answer 14", "answer 1٤", "answer"),
    ],
)
def test_the_second_reader_proves(old, new, kind):
    assert audit(RIGHT, CHAIN, "terse").provable_faults == ()
    found = audit(RIGHT.replace(old, new), CHAIN, "terse")
    assert any(fault.startswith(f"{kind}:") for fault in found.provable_faults), found


@pytest.mark.parametrize(
    ("text", "single"),
    [
        (RIGHT, 2),
        ("kites = 3 . lamps = ( kites + 4 ) * 2 = ( 3 + 4 ) * 2 = 14 . answer 14 .", 0),
        ("kites = 3 . drums = kites + 4 . lamps = ( kites + 4 ) * 2 = ( 3 + 4 ) * 2 = 14 . answer 14 .", 0),
        ("kites = 3 . drums = 7 . lamps = 14 . answer 14 .", 2),
        ("kites = 3 . drums = 7 . drums = 7 . drums = 7 . lamps = 14 . answer 14 .", 2),
        ("oaks = 2 . 7 = 7 . lamps = lamps . drums = kites + 4 . answer 14 .", 0),
        ("answer 14 .", 0),
    ],
)
def test_an_operation_counts_where_it_is_worked_out(text, single):
    assert audit(text, CHAIN, "terse").single_steps == single


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3 + 4 = 8\n#### 14", "equation"),
        ("3 + 4 = 7½\n#### 14", "foreign digits"),
        ("33٣ + 4 = 37\n#### 14", "foreign digits"),
        ("1 * 1" + "7" * 40 + " = 17\n#### 14", "equation"),
        ("2^3 = 9\n#### 14", "power"),
        ("3! = 9\n#### 14", "power"),
        ("7 + 7 = 14 = 3 * 5\n#### 14", "equation"),
        ("30 + 30% = 60\n#### 14", "equation"),
        ("10 / 3 = 3.33\n#### 14", "equation"),
        ("<<7+8=14>>14\n#### 14", "annotation"),
        ("3 eggs + 4 eggs = 8 eggs.\n#### 14", "units"),
        *(
            (f"#### {final}", "answer")
            for final in (
                *("13", "14²", "14½", "14k", "14 million", "14 dozen", "14 is wrong", "14 minus one", "14 or 15"),
                *("1٤", "14٠", "14 and a half", "14/2", "14^2", "14 + 1", "14 not"),
                *("14\nThe answer is 15.", "14\nNo, wait. It is 15."),
            )
        ),
        ("\\boxed{14\\pi}", "answer"),
        ("\\boxed{15} \\boxed{14}", "answer"),
        ("7 + 7 = 14", "answer"),
    ],
)  # fmt: skip
def test_the_second_reader_of_prose_proves(text, kind):
    found = audit_prose(text, "?", "14", "gsm8k")
    assert any(fault.startswith(f"{kind}:") for fault in found.provable_faults), found


@pytest.mark.parametrize(
    "text",
    [
        "She has 3 + 4 = <<3+4=7>>7 eggs.\nSo 7 * 2 = $14.\n#### 14",
        "20% of 70 = 14. Half of 28 = 14.\n#### 14",
        "30 + 30% = 39, 2 1/2 * 2 = 5, 15÷3/4=20, 8 + -3 = 5 and x + 3 = 9.\nThe answer is $14.",
        "4 - 9 = 5x + 9 - 9, phi(12)/12 = 4/12, 2 weeks + 3 days = 17 days\n#### 14 clips",
        "1,200 + 1,300 = 2,500. $7 \\times 2 = \\boxed{14}$.",
        "The final answer is \\boxed{14}.",
        "٨٠ = 0, 48① = 12 and 12'5 + 4 = 6\n5 * 3 = 13:20\n2 + the rest is 4 * 5 = 22\n#### 14",
        "(2 + 3) * 7% = 35, 12.'5 + 4 = 6\n12 the + rest is 4 * 5 = 32\n#### 28 / 2",
        "25  10 cents + 70 cents = 105 cents\n#### 14",
        "29 ÷ 4 = 7 with remainder 1, 29 / 4 = 7 R 1\nit is (3 + 1) choose (2 - 1) = 4 choose 1 = 4\n#### 14",
    ],
)
def test_the_second_reader_of_prose_proves_no_more(text):
    assert audit_prose(text, "?", "14", "gsm8k").provable_faults == ()


def test_numbers_that_are_not_on_the_table_are_found():
    question = "Using the numbers [3, 4, 2], create an equation that equals 14."
    assert audit_prose("3 + 4 = 7\n7 * 2 = 14\n#### 14", question, "14", "countdown").provable_faults == ()
    found = audit_prose("3 + 4 = 7\n7 + 7 = 14\n#### 14", question, "14", "countdown")
    assert [fault.split(":")[0] for fault in found.provable_faults] == ["premise"]


def test_deep_brackets_are_evaluated_without_recursion():
    assert evaluate(["("] * 50_000 + ["7"] + [")"] * 50_000, {}, 23) == 7


def test_growth_flags_what_is_not_linear(monkeypatch):
    monkeypatch.setattr(growth, "LENGTHS", (1000, 2000, 4000))
    family = growth.Family("", "9", "")
    now = [0.0]
    monkeypatch.setattr(growth.time, "process_time", lambda: now[0])

    def quadratic(text):
        now[0] += (len(text) / 1000) ** 2

    def linear(text):
        now[0] += len(text) / 1000

    assert growth.grow(quadratic, family)["exponent"] == 2.0
    assert growth.grow(linear, family)["exponent"] == 1.0
    assert [len(family.text(n)) for n in growth.LENGTHS] == [1000, 2000, 4000]
