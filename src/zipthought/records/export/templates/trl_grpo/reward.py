"""The reward: 1.0 for the correct final answer; None where the gold of a row cannot be read.

The environment variable REWARD names another: `faithful`, one that prefers shorter right answers
(`outcome+length:0.001`, `cosine:limit=512`, `overlong:limit=512,buffer=128`, `group-length:alpha=0.2`,
`pass-rate-length:cost=0.001`), or a function of yours, `package.module:name`.
"""

import os

from zipthought.train.interfaces import trl_reward

reward = trl_reward(os.environ.get("REWARD", "outcome"))
