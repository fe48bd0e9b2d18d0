"""Rewards that compare the completions of a problem, in the exports whose trainers score them in other ways than TRL.

`tests/integration/test_targets.py` calls the same files through verl and verifiers.
"""

import os
import random
import runpy
import subprocess
from collections import defaultdict

import numpy as np
import pyarrow.parquet
import pytest

from zipthought.core.pieces import count_pieces
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import export_records
from zipthought.records.reading import read_records
from zipthought.train.interfaces import COLUMNS, group_scores, verifiers_scores
from zipthought.train.rewards import REWARDS, Attempt, parse_reward, scores_of

GROUPED = [kind.SYNTAX for kind in REWARDS.values() if kind.grouped]
THINKING = "group-length:alpha=0.5,of=thinking"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A file of problems, each in two formats: two rows of one question."""
    config = GenerateConfig(
        n_ops=(3,), count=6, format=("explicit", "composed:2"), output_dir=tmp_path_factory.mktemp("records")
    )
    path = config.output_dir / "all.jsonl"
    path.write_text("".join(file.read_text() for file in generate(config)["files"].values()))
    return path


def reward_module(records, directory, monkeypatch, reward, **environment):
    """What the exported reward.py defines."""
    monkeypatch.setenv("MODEL", "")
    for name, value in {"REWARD": reward, "VERL_USE_EXTERNAL_MODULES": "", **environment}.items():
        monkeypatch.setenv(name, value)
    export_records([records], "verl", directory, overwrite=True)
    return runpy.run_path(str(directory / "reward.py"))


def batch_of(directory, rng, size=6):
    """A training batch of verl: `size` completions of each exported row, shuffled, some of them wrong.

    Returns the arguments of its batch reward manager, and whether each answer is right.
    """
    rows = pyarrow.parquet.read_table(directory / "train.parquet").to_pylist()
    items = [(row, rng.random() < 0.6, rng.randrange(30)) for row in rows for _ in range(size)]
    rng.shuffle(items)
    texts = []
    for row, right, idle in items:
        gold = row["reward_model"]["ground_truth"]
        texts.append("Hmm. " * idle + f"Answer: {gold if right else (int(gold) + 1) % 23}.")
    arguments = {
        "data_sources": np.array([row["data_source"] for row, *_ in items]),
        "solution_strs": texts,
        "ground_truths": [row["reward_model"]["ground_truth"] for row, *_ in items],
        "extra_infos": np.array([row["extra_info"] | {"rollout_reward_scores": {}} for row, *_ in items]),
    }
    return arguments, [right for _, right, _ in items]


def by_row(infos):
    """The places of the completions of each exported row."""
    groups = defaultdict(list)
    for place, info in enumerate(infos):
        groups[info["id"]].append(place)
    return list(groups.values())


@pytest.mark.parametrize("name", [*GROUPED, THINKING, "outcome"])
def test_a_batch_of_verl_is_scored_by_prompt_wherever_its_completions_stand(records, tmp_path, monkeypatch, name):
    module = reward_module(records, tmp_path, monkeypatch, name)
    arguments, right = batch_of(tmp_path, random.Random(name))
    scored = module["compute_scores"](**arguments)
    assert len(scored) == len(right)
    given = {record["id"]: record for record in read_records(records)}
    groups = by_row(arguments["extra_infos"])
    assert len(groups) == len(given) == 12
    for places in groups:
        texts = [arguments["solution_strs"][place] for place in places]
        record = given[arguments["extra_infos"][places[0]]["id"]]
        attempts = [Attempt.of_record(text, record, count_pieces(text), count_pieces) for text in texts]
        assert [scored[place]["score"] for place in places] == scores_of(parse_reward(name), attempts)
        worst = min((scored[place]["score"] for place in places if right[place]), default=9)
        assert max((scored[place]["score"] for place in places if not right[place]), default=-9) <= worst
        assert {tuple(scored[place]) for place in places} == {("score", "faithful", "parsed", "skipped")}


def test_a_batch_without_what_the_export_writes_is_skipped(records, tmp_path, monkeypatch):
    module = reward_module(records, tmp_path, monkeypatch, "group-length:alpha=0.5")
    scored = module["compute_scores"](["other"] * 2, ["Answer: 7."] * 2, ["7"] * 2, [None, {}])
    assert scored == [{"score": 0.0, "faithful": 0.0, "parsed": 0.0, "skipped": 1.0}] * 2
    assert module["compute_scores"]([], [], [], []) == []


@pytest.mark.parametrize("name", GROUPED)
def test_outcomes_and_lengths_give_the_same_as_texts(records, tmp_path, monkeypatch, name):
    """This is what the advantage estimator of the export knows of a completion."""
    module = reward_module(records, tmp_path, monkeypatch, name)
    arguments, right = batch_of(tmp_path, random.Random(name))
    problems = [info["id"] for info in arguments["extra_infos"]]
    tokens = list(map(count_pieces, arguments["solution_strs"]))
    expected = [scored["score"] for scored in module["compute_scores"](**arguments)]
    assert group_scores(name, problems, right, tokens) == expected


@pytest.mark.parametrize("name", ["outcome", "cosine:limit=512", THINKING])
def test_rewards_that_need_more_than_outcomes_and_lengths_are_refused(name):
    with pytest.raises(ValueError, match="use group-length or pass-rate-length with of=all"):
        group_scores(name, ["a"], [True], [3])


def test_one_completion_is_refused_unless_the_advantages_compare_later(records, tmp_path, monkeypatch):
    name = "group-length:alpha=0.5"
    call = dict.fromkeys(COLUMNS) | {"question": "How many?", "surface": "gsm8k"}
    module = reward_module(records, tmp_path, monkeypatch, name)
    with pytest.raises(ValueError, match=r"for verl start run_grpo\.sh .*, for verifiers leave the environment"):
        module["compute_score"]("zipthought", "#### 7", "7", call)
    module = reward_module(records, tmp_path, monkeypatch, name, VERL_USE_EXTERNAL_MODULES="a,group_advantage")
    for text, outcome in (("#### 7", 1.0), ("#### 8", 0.0)):
        assert module["compute_score"]("zipthought", text, "7", call)["score"] == outcome
    priced = "outcome+length:0.01"
    module = reward_module(records, tmp_path, monkeypatch, priced, VERL_USE_EXTERNAL_MODULES="group_advantage")
    assert 0 < module["compute_score"]("zipthought", "#### 7", "7", call)["score"] < 1, "other rewards stay"


@pytest.mark.parametrize("name", [*(getattr(kind, "SYNTAX", name) for name, kind in REWARDS.items()), THINKING])
def test_the_command_of_verl_compares_in_the_advantages_where_the_reward_needs_it(records, tmp_path, name):
    """A python3 that prints its arguments stands for verl. Options of the user come last, so they win."""
    export_records([records], "verl", tmp_path / "x")
    program = tmp_path / "python3"
    program.write_text('#!/bin/sh\necho "$VERL_USE_EXTERNAL_MODULES" "$PYTHONPATH" "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "REWARD": name, "MODEL": "m"}
    command = ["bash", str(tmp_path / "x" / "run_grpo.sh"), "trainer.nnodes=2"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    if name in GROUPED:
        assert said[:2] == ["group_advantage", str(tmp_path / "x")]
        assert said[-2:] == ["algorithm.adv_estimator=zipthought_group", "trainer.nnodes=2"]
    else:
        assert said[0] == "-m"
        assert said[-2:] == ["trainer.experiment_name=grpo", "trainer.nnodes=2"]


@pytest.mark.parametrize("name", [*GROUPED, THINKING])
def test_attempts_of_an_episode_are_scored_together_for_verifiers(name):
    info = {"question": "How many are 3 and 4?", "surface": "gsm8k", "modulus": None, "answer": "7"}
    texts = ["3 + 4 = 7\n#### 7", "#### 8", "So. " * 9 + "3 + 4 = 7\n#### 7"]
    record = info | {"prompt": info["question"]}
    attempts = [Attempt.of_record(text, record, count_pieces(text), count_pieces) for text in texts]
    scored = verifiers_scores(texts, info, name)
    assert [score["score"] for score in scored] == scores_of(parse_reward(name), attempts)
    assert [score["faithful"] for score in scored] == [1.0, 0.0, 1.0]
    assert scored[0]["score"] > scored[2]["score"] > scored[1]["score"] == 0
    assert verifiers_scores([], info, name) == []
