"""The reward, as verl's custom_reward_function: a dict with `score` and the same keys every time.

The environment variable REWARD names another than the outcome: `faithful`, one that prefers shorter right answers
(`outcome+length:0.001`, `cosine:limit=512`, `overlong:limit=512,buffer=128`, `group-length:alpha=0.2`,
`pass-rate-length:cost=0.001`), or a function of yours, `package.module:name`. Lengths are in tokens of MODEL.

The last two rewards compare the completions of a prompt, and verl scores one at a time. There are two ways:

- verl 0.6.1 and later: run_grpo.sh, which leaves the comparison to the advantages (group_advantage.py). `score` is
  then the outcome. Not with `of=thinking`.
- verl up to 0.7.0, whose batch reward manager gives all at once: `compute_scores`. Start training by

      bash run_grpo.sh algorithm.adv_estimator=grpo reward_model.reward_manager=batch \
        custom_reward_function.name=compute_scores

  and in 0.7.0 add `reward_model.use_reward_loop=False`.
"""

import os

from zipthought.train import interfaces
from zipthought.train.rewards import parse_reward

REWARD, MODEL = os.environ.get("REWARD", "outcome"), os.environ.get("MODEL", "")
COMPARED_LATER = "group_advantage" in os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",")
OF_ONE = "outcome" if COMPARED_LATER and parse_reward(REWARD).grouped else REWARD


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    return interfaces.compute_score(data_source, solution_str, ground_truth, extra_info, OF_ONE, MODEL)


def compute_scores(data_sources, solution_strs, ground_truths, extra_infos, **_):
    """The same for a whole batch, and the only one of the two that knows the completions of a prompt."""
    return interfaces.compute_scores(data_sources, solution_strs, ground_truths, extra_infos, REWARD, MODEL)
