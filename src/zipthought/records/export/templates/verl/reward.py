"""The reward, as verl's custom_reward_function: a dict with `score` and the same keys every time."""

from zipthought.train.interfaces import compute_score

__all__ = ["compute_score"]
