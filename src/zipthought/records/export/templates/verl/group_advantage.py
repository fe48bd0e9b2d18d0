"""GRPO for a reward that compares the completions of a prompt: verl's advantage estimator `zipthought_group`.

The score of a completion is its outcome (reward.py). Here outcomes and lengths in tokens become the reward that the
environment variable REWARD names, within each prompt, and that becomes the advantage as in `grpo`. run_grpo.sh makes
verl load this file (VERL_USE_EXTERNAL_MODULES, in verl 0.6.1 and later) and use it.
"""

import os

from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage, register_adv_est

from zipthought.train.interfaces import group_scores

REWARD = os.environ["REWARD"]
group_scores(REWARD, [], [], [])  # Raises for a reward that needs more than outcomes and lengths.


@register_adv_est("zipthought_group")
def group_advantage(token_level_rewards, response_mask, index, config, **_):
    """Advantages and returns, (B, T) each, from outcomes (B, T) whose sum over the tokens is 1 or 0."""
    if config.get("use_kl_in_reward", False):
        raise ValueError("zipthought_group needs rewards without a KL penalty; set algorithm.use_kl_in_reward=False")
    right = (token_level_rewards.sum(-1) > 0.5).tolist()
    scores = group_scores(REWARD, list(index), right, response_mask.sum(-1).tolist())
    rewards = token_level_rewards.new_tensor(scores).unsqueeze(-1)
    return compute_grpo_outcome_advantage(
        rewards, response_mask, index, norm_adv_by_std_in_grpo=config.get("norm_adv_by_std_in_grpo", True)
    )
