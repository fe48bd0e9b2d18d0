"""The contracts of families and of writers of real solutions, for everything registered, and additions by plugins."""

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.cli import main
from zipthought.core.methods import Explicit
from zipthought.core.verify import Verdict
from zipthought.records.pruned import unscored
from zipthought.solutions import FAMILIES, detect_family, gsm8k
from zipthought.solutions.compress import CompressConfig
from zipthought.solutions.finals import final_answer
from zipthought.solutions.methods import (
    WRITERS,
    SolutionWriter,
    WriteContext,
    compress_solution,
    parse_solution_method,
)
from zipthought.solutions.solution import UnreadableError

HOSTILE = [
    "",
    "####",
    "#### " + "9" * 10_000,
    "<<" * 1000,
    "\\boxed{" * 1000,
    "1/0 = <<1/0=1>>1\n#### 1",
    "(" * 1000 + "1 = 1",
    "\ud83d \x00 ٣ + ² = ½ 5",
    "numbers [" + "9" * 10_000 + "] equals " + "9" * 10_000,
]


@pytest.fixture(params=list(FAMILIES))
def family(request):
    return FAMILIES[request.param]


def test_the_example_reads_and_verifies(family):
    question, text, answer = family.EXAMPLE
    assert family.SYSTEM
    assert detect_family(question) is (gsm8k if family.NAME == "gsm8k-comma" else family)  # It is declared.
    solution = family.read(question, text)
    assert solution.whole == text
    assert solution.answer == answer
    assert len(solution.steps) > 1
    assert family.verify(question, text, answer).faithful
    assert family.read(question, text, answer) == solution


def test_a_false_step_and_a_false_answer_do_not_verify(family):
    question, text, answer = family.EXAMPLE
    first = family.read(question, text).steps[0].equation.stated
    false_step = f"{text[: first.start]}{first.value + 1}{text[first.end :]}"
    false_answer = text.removesuffix(answer) + f"{int(answer) + 1}"
    for false in (false_step, false_answer):
        assert not family.verify(question, false, answer).faithful
        with pytest.raises(UnreadableError) as error:
            family.read(question, false)
        assert re.fullmatch(r"[a-z_]+", error.value.reason)
        assert str(error.value)


def check_hostile(family, question, text):
    with suppress(UnreadableError):
        family.read(question, text)
    with suppress(ValueError):  # The question or the correct answer cannot be read.
        family.verify(question, "", text)
    assert isinstance(family.verify(family.EXAMPLE.question, text, "1"), Verdict)
    assert family.looks_like(question) in (True, False)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_raises_nothing_else(family, text):
    for question in (text, family.EXAMPLE.question):
        check_hostile(family, question, text)


@given(st.text(max_size=80), st.text(max_size=200))
@settings(max_examples=200)
def test_random_text_raises_nothing_else(question, text):
    for family in FAMILIES.values():
        check_hostile(family, question, text)


def test_a_family_without_a_member_is_refused_with_its_name():
    with pytest.raises(TypeError, match=r"the family 'riddles' lacks EXAMPLE, looks_like, read, verify"):
        FAMILIES.register(SimpleNamespace(NAME="riddles", SYSTEM="Solve it."))
    assert "riddles" not in FAMILIES
    with pytest.raises(ValueError, match=r"unknown family 'riddles'; use countdown, gsm8k-comma, gsm8k"):
        FAMILIES.find("riddles")


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_writer_keeps_the_final_answer(family, name):
    question, text, answer = family.EXAMPLE
    solution = family.read(question, text)
    method = parse_solution_method(WRITERS[name].example)
    assert name == method.NAME
    # What a model would give: the scores of each word, and a rewrite.
    (scores,) = unscored([([], text)])
    context = WriteContext(scores=scores, rewrites={str(method): text})
    written = compress_solution(solution, method, context)
    assert written == compress_solution(solution, WRITERS[name].example, context)
    assert final_answer(written)[1] == answer
    assert len(written) <= len(text)


def test_a_format_without_a_writer_names_those_that_exist():
    for text in ("explicit", "composed:1", "nothing", "nothing:2"):
        says = rf"no format '{text}'; .*composed:2, .*random-steps:0.6, .*tokens:0.6, prose"
        with pytest.raises(ValueError, match=says):
            parse_solution_method(text)
    with pytest.raises(ValueError, match="'explicit'; use composed"):
        compress_solution(gsm8k.read("", gsm8k.EXAMPLE.solution), Explicit())
    with pytest.raises(TypeError, match="'composed' lacks write, example"):
        WRITERS.register(SimpleNamespace(NAME="composed", method=SolutionWriter))


PLUGIN = '''
import sys
from dataclasses import dataclass

from zipthought.core.methods import Method
from zipthought.solutions import FAMILIES, SolvedExample, gsm8k
from zipthought.solutions.finals import final_answer
from zipthought.solutions.methods import WRITERS, SolutionWriter

NAME = "riddles"
SYSTEM = "Solve the riddle."
EXAMPLE = SolvedExample("Riddle: how many legs do 3 cows have?", "That is 3 * 4 = 12.\\n#### 12", "12")
read, verify = gsm8k.read, gsm8k.verify


def looks_like(question):
    return question.startswith("Riddle:")


@dataclass(frozen=True)
class Truncate(Method):
    """Keeps a number of tokens before the final answer."""

    NAME = "truncate"
    faithful = False
    needs = ("tokenizer",)
    n_tokens: int

    @classmethod
    def parse(cls, parameter):
        return cls(int(parameter))

    @property
    def parameter(self):
        return str(self.n_tokens)

    def steps(self, problem, order):
        raise ValueError("real solutions only")


def write(solution, method, context):
    kept = context.tokenizer.encode(solution.text, add_special_tokens=False).ids[: method.n_tokens]
    return context.tokenizer.decode(kept) + "\\n" + solution.tail.lstrip()


FAMILIES.register(sys.modules[__name__])
WRITERS.register(SolutionWriter(Truncate, write, example="truncate:5"))
'''


@pytest.fixture
def plugin(tmp_path):
    """Runs the command line in a process with a plugin that adds a family and a method."""
    (tmp_path / "riddles_plugin.py").write_text(PLUGIN)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "ZIPTHOUGHT_PLUGINS": "riddles_plugin", "PYTHONPATH": paths}

    def run(*words):
        command = [sys.executable, "-m", "zipthought", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def write_riddles(tmp_path):
    questions = ["Riddle: how many?", "How many?"]
    rows = [{"question": q, "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.\n#### 20"} for q in questions]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_family_and_a_method_of_a_plugin(tmp_path, plugin, tiny_base, workers):
    write_riddles(tmp_path)
    formats = ["composed:2", "truncate:3"]
    flags = ["--output", "out.jsonl", "--tokenizer", tiny_base, "--workers", workers, "--json"]
    done = plugin("compress", "in.jsonl", *flags, "--format", *formats)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"] == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {row["surface"] for row in rows if row["prompt"].startswith("Riddle:")} == {"riddles"}
    assert {row["surface"] for row in rows if row["prompt"] == "How many?"} == {"gsm8k"}
    assert {row["messages"][0]["content"] for row in rows} == {"Solve the riddle.", gsm8k.SYSTEM}
    truncated = [row for row in rows if row["format"] == "truncate"]
    assert [row["parameter"] for row in truncated] == ["3", "3"]
    assert all(row["completion"].endswith("\n#### 20") for row in truncated)
    done = plugin("verify", "out.jsonl", "--json")
    assert done.returncode == 0, done.stderr


def test_a_method_that_needs_a_tokenizer_says_so(tmp_path, plugin):
    write_riddles(tmp_path)
    done = plugin("compress", "in.jsonl", "--output", "out.jsonl", "--format", "truncate:3")
    assert done.returncode == 2
    assert "'truncate:3' needs a tokenizer; give one with --tokenizer" in done.stderr
    done = plugin("compress", "in.jsonl", "--output", "out.jsonl", "--format", "nothing")
    assert "truncate:5" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_method_that_needs_a_model_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(WRITERS["prose"].method, "needs", ("model",))
    with pytest.raises(ValueError, match="'prose' needs a model; give one with --model"):
        CompressConfig(input=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", format=("prose",))
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "o"), "--format", "prose"]) == 2
