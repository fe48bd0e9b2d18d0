"""Formats, groups and orders, on the examples of docs FORMATS.md and on drawn problems."""

from __future__ import annotations

import statistics
import subprocess
import sys
from itertools import pairwise

import pytest

from zipthought.core.arithmetic import BinOp, count_operations, evaluate
from zipthought.core.compress import compress
from zipthought.core.grouping import group_ends, nested
from zipthought.core.methods import Explicit, parse_method
from zipthought.core.problem import Problem
from zipthought.core.trace import solve
from zipthought.surfaces import count_pieces, english, render, render_problem, verify
from zipthought.tasks.sampling import SamplerConfig, sample_batch

LAMPS = Problem(
    23,
    {"kites": 3, "drums": BinOp("+", "kites", 4), "oaks": 2, "lamps": BinOp("*", "drums", 2)},
    "lamps",
)
ALIASES = {"kites": "QB", "drums": "MX", "lamps": "AE"}


def drawn(n_ops: int, count: int = 5, **settings) -> list[Problem]:
    batch = sample_batch(SamplerConfig(n_ops=n_ops, **settings), "train", range(count))
    return [batch.problem(row) for row in range(count)]


@pytest.mark.parametrize("share", [0.35, 0.62, 0.8, 1.0])
def test_random_steps_keep_that_share_of_the_text_and_no_more_than_the_taxonomy_is_faithful(share):
    problems = drawn(3, 600)
    whole = [compress(problem, "explicit") for problem in problems]
    kept = [compress(problem, f"random-steps:{share}") for problem in problems]

    def length(trace) -> int:  # Without the answer, which always stays.
        return len(render(trace, "terse").split()) - 3

    assert statistics.mean(map(length, kept)) / statistics.mean(map(length, whole)) == pytest.approx(share, abs=0.02)
    for problem, trace, all_of_it in zip(problems, kept, whole, strict=True):
        assert set(trace.steps) <= set(all_of_it.steps)
        assert trace.steps[-1] == all_of_it.steps[-1]
        assert trace.final == all_of_it.final
        verdict = verify(render(trace, "terse"), problem)
        assert verdict.answer == "correct"
        assert verdict.faithful == (trace.steps == all_of_it.steps)
    assert compress(problems[0], f"random-steps:{share}") == kept[0]
    assert str(parse_method(f"random-steps:{share}")) == f"random-steps:{share:g}"


def test_prompt_of_the_contract():
    assert render_problem(LAMPS) == (
        "The number of kites equals 3. The number of drums equals the number of kites plus 4. "
        "The number of oaks equals 2. The number of lamps equals the number of drums times 2. "
        "What is the number of lamps?"
    )
    assert render_problem(LAMPS, "terse") == "kites = 3 . drums = kites + 4 . oaks = 2 . lamps = drums * 2 . ? lamps"


@pytest.mark.parametrize(
    ("fmt", "order", "text"),
    [
        (
            "explicit",
            "forward",
            "Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7."
            " Define lamps as AE; so AE = MX * 2 = 7 * 2 = 14. Answer: 14.",
        ),
        (
            "composed:2",
            "forward",
            "Define kites as QB; so QB = 3. Define lamps as AE; so AE = (QB + 4) * 2 = (3 + 4) * 2 = 14. Answer: 14.",
        ),
        ("implicit:2", "forward", "kites = 3. lamps = 14. Answer: 14."),
        ("answer-only", "forward", "Answer: 14."),
        (
            "explicit",
            "backward",
            "Define kites as QB; so QB = 3. Define lamps as AE; so AE = 2MX."
            " Define drums as MX; so AE = 2MX = 2(QB + 4) = 2QB + 8 = 2(3) + 8 = 14. Answer: 14.",
        ),
    ],
)
def test_solutions_of_the_contract(fmt, order, text):
    assert render(compress(LAMPS, fmt, order), "english", ALIASES) == text


def test_backward_of_one_operation_goes_on_in_the_second_line():
    problem = Problem(23, {"kites": 3, "drums": BinOp("*", "kites", 4)}, "drums")
    assert render(compress(problem, "explicit", "backward"), "english", {"kites": "QB", "drums": "MX"}) == (
        "Define kites as QB; so QB = 3. Define drums as MX; so MX = 4QB = 4(3) = 12. Answer: 12."
    )


@pytest.mark.parametrize("fmt", ["explicit", "composed:2", "implicit:2"])
@pytest.mark.parametrize("order", ["forward", "backward", "hierarchical"])
def test_of_no_operations_the_start_is_left(fmt, order):
    problem = Problem(23, {"kites": 3}, "kites")
    text = render(compress(problem, fmt, order), "terse")
    assert text == "kites = 3 . answer 3 ."
    assert verify(text, problem).faithful


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ("+2 -1", "x + 2 - 1"),
        ("*3 *2", "x * 3 * 2"),
        ("*3 +1 *2", "(x * 3 + 1) * 2"),
        ("+1 *2 -3 *4", "((x + 1) * 2 - 3) * 4"),
    ],
)
def test_parentheses_are_minimal(operations, text):
    expression: object = "x"
    for operation in operations.split():
        expression = BinOp(operation[0], expression, int(operation[1:]))
    assert english._write(expression, str) == text


def test_terse_of_the_contract():
    text = "kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 ."
    assert render(solve(LAMPS), "terse") == text
    assert render(compress(LAMPS, "implicit:2"), "terse") == "kites = 3 . lamps = 14 . answer 14 ."


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 10, 99])
@pytest.mark.parametrize("n_ops", [1, 2, 7, 10])
def test_chain_groups_end_at_k_2k_and_n(k, n_ops):
    for problem in drawn(n_ops, 2):
        wanted = [problem.order[i] for i in [*range(k, n_ops, k), n_ops]]
        assert group_ends(problem, k) == wanted


@pytest.mark.parametrize("k", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("n_ops", [2, 5, 9, 24])
def test_tree_groups_never_exceed_k(k, n_ops):
    for problem in drawn(n_ops, 6, task="tree"):
        ends = group_ends(problem, k)
        settled = {*ends, *(name for name in problem.order if name not in problem.operations)}
        sizes = [count_operations(nested(problem, name, settled)) for name in ends]
        assert ends[-1] == problem.target
        assert max(sizes) <= k
        assert sum(sizes) == n_ops  # each quantity of a drawn tree is used once


def test_shared_quantities_do_not_blow_up():
    # Each quantity is twice the one before: unfolded without a bound, 2**60 operations.
    names = [f"{a}{b}s" for a in "abcdefgh" for b in "abcdefgh"]
    definitions = {names[0]: 1} | {b: BinOp("+", a, a) for a, b in pairwise(names)}
    problem = Problem(23, definitions, names[-1])
    for step in compress(problem, "composed:6").steps:
        assert count_operations(step.sides[0]) <= 6


def test_nested_expression_has_the_value():
    for problem in drawn(12) + drawn(12, task="tree"):
        starts = {name for name in problem.order if name not in problem.operations}
        whole = nested(problem, problem.target, starts)
        assert evaluate(whole, problem.values, problem.modulus) == problem.answer


@pytest.mark.parametrize("fmt", ["explicit", "composed:2", "composed:5", "implicit:1", "implicit:3", "answer-only"])
@pytest.mark.parametrize("order", ["forward", "backward", "hierarchical"])
@pytest.mark.parametrize("settings", [{}, {"modulus": 2}, {"modulus": 7, "number_range": 40}, {"modulus": 100}])
def test_the_answer_stays(fmt, order, settings):
    for n_ops in (1, 2, 5, 8):
        for problem in drawn(n_ops, 2, **settings):
            trace = compress(solve(problem), fmt, order)
            assert trace.final == str(problem.answer)
            if trace.steps:
                assert (trace.steps[-1].name, trace.steps[-1].sides[-1]) == (problem.target, problem.answer)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("explicit:2", "takes no k"),
        ("answer-only:1", "takes no k"),
        ("composed", "composed:2"),
        ("implicit", "implicit:2"),
        ("implicit:0", "at least 1"),
        ("composed:-3", "at least 1"),
        ("composed:x", "whole number"),
        ("composed: 2", "whole number"),
        ("composed:٣", "whole number"),
        ("composed:2\n", "whole number"),
        ("Explicit", "unknown format"),
        ("", "unknown format"),
    ],
)
def test_format_errors_say_what_to_do(text, what):
    with pytest.raises(ValueError, match=what):
        parse_method(text)


def test_formats_are_read_and_written():
    for text in ("explicit", "composed:2", "implicit:1", "implicit:40", "answer-only"):
        assert str(parse_method(text)) == text
    assert parse_method("composed:1") == Explicit()


def test_compress_refuses():
    with pytest.raises(ValueError, match="unknown order"):
        compress(LAMPS, "explicit", "sideways")
    with pytest.raises(ValueError, match="chain problem"):
        compress(drawn(5, 1, task="tree")[0], "explicit", "backward")
    with pytest.raises(ValueError, match="knows no problem"):
        compress(english.parse("kites = 3. Answer: 3."), "explicit")


@pytest.mark.parametrize(
    ("modulus", "definitions", "target", "what"),
    [
        (1, {"a": 1}, "a", "at least 2"),
        (23, {"a": 1}, "b", "no sentence defines"),
        (23, {"a": BinOp("+", "b", 1)}, "a", "'b' is used but no sentence"),
        (23, {"a": BinOp("+", "b", 1), "b": BinOp("+", "a", 1)}, "a", "circular"),
        (23, {"a": BinOp("+", "a", 1)}, "a", "circular"),
    ],
)
def test_problems_that_make_no_sense(modulus, definitions, target, what):
    with pytest.raises(ValueError, match=what):
        Problem(modulus, definitions, target)


def test_trees_do_not_depend_on_the_hash_seed():
    code = (
        "from zipthought import compress, render, sample\n"
        "for i in range(20): print(render(compress(sample(n_ops=9, task='tree', index=i), 'composed:2')))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_what_compression_saves():
    # Word and punctuation pieces relative to explicit, n_ops 10, as the paper's compression ratios have it.
    wanted = {"composed:2": 0.66, "composed:4": 0.53, "implicit:2": 0.14, "implicit:4": 0.10}
    problems = drawn(10, 200)
    explicit = statistics.mean(count_pieces(render(solve(p))) for p in problems)
    for fmt, ratio in wanted.items():
        measured = statistics.mean(count_pieces(render(compress(p, fmt))) for p in problems) / explicit
        assert measured == pytest.approx(ratio, abs=0.03), fmt
