"""The reward: 1.0 for the correct final answer; None where the gold of a row cannot be read.

Also `faithful`, `outcome+length:0.001` (a cost a token), or a function of yours, `package.module:name`.
"""

from zipthought.train.interfaces import trl_reward

reward = trl_reward("outcome")
