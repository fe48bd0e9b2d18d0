"""The reward, as verl's custom_reward_function: a dict with `score` and the same keys every time.

The environment variable REWARD names another than the outcome: `faithful`, one that prefers shorter right answers
(`outcome+length:0.001`, `cosine:limit=512`, `overlong:limit=512,buffer=128`), or a function of yours,
`package.module:name`. Lengths are in tokens of MODEL.
"""

import os

from zipthought.train import interfaces

REWARD, MODEL = os.environ.get("REWARD", "outcome"), os.environ.get("MODEL", "")


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    return interfaces.compute_score(data_source, solution_str, ground_truth, extra_info, REWARD, MODEL)
