"""A verifiers environment: one question, one solution, judged by zipthought."""

from pathlib import Path

import verifiers as vf
from datasets import load_dataset

from zipthought.train.interfaces import verifiers_faithful, verifiers_outcome

HERE = Path(__file__).parent


def outcome(completion, info, **kwargs) -> float:
    return verifiers_outcome(completion, info)


def faithful(completion, info, **kwargs) -> float:
    return verifiers_faithful(completion, info)


def load_environment(split: str = "train", eval_split: str = "@HELD_OUT@", **kwargs) -> vf.Environment:
    """The items of a split. The reward is the outcome; `faithful` is measured beside it, with weight 0."""
    files = {name: str(HERE / f"{name}.jsonl") for name in {split, eval_split}}
    data = load_dataset("json", data_files=files)
    rubric = vf.Rubric(funcs=[outcome, faithful], weights=[1.0, 0.0])
    return vf.SingleTurnEnv(dataset=data[split], eval_dataset=data[eval_split], rubric=rubric, **kwargs)
