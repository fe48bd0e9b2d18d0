"""A verifiers taskset: one question, one solution, judged by zipthought. The reward is the outcome, or what the
environment variable REWARD names (`outcome+length:0.001`, `cosine:limit=512`, ...), in tokens of the tokenizer that
TOKENIZER names; `faithful` is measured beside it.

    pip install .
    vf-eval zipthought-env --env.taskset.split test --model MODEL --no-push

With a reward that compares the attempts at a problem (`group-length:alpha=0.2`, `pass-rate-length:cost=0.001`), an
episode is a group: the environment of this package makes `--env.n` attempts (8), `--env.max-concurrent-agents` at a
time, and scores them together. Written by `zipthought export`. The model gets no tools: the harness of this package is
`null`.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.harnesses.null import NullHarness

from zipthought.train.interfaces import verifiers_faithful, verifiers_outcome, verifiers_scores
from zipthought.train.rewards import parse_reward

REWARD, TOKENIZER = os.environ.get("REWARD", "outcome"), os.environ.get("TOKENIZER", "")

__all__ = ["NullHarness", "ZipthoughtTaskset"]
if parse_reward(REWARD).grouped:
    __all__ += ["ZipthoughtGroup"]  # The environment of the taskset, in place of verifiers' own.


class ZipthoughtData(vf.TaskData):
    info: dict[str, Any]
    """What the verifier needs of the problem."""


class ZipthoughtTask(vf.Task[ZipthoughtData]):
    @vf.reward
    async def outcome(self, trace: vf.Trace) -> float:
        return verifiers_outcome(trace.last_reply, self.data.info, reward=REWARD, tokenizer=TOKENIZER)

    @vf.metric
    async def faithful(self, trace: vf.Trace) -> float:
        return verifiers_faithful(trace.last_reply, self.data.info)


class ZipthoughtConfig(vf.TasksetConfig):
    split: str = "train"
    """train, validation or test, as far as the export has them."""


class ZipthoughtTaskset(vf.Taskset[ZipthoughtTask, ZipthoughtConfig]):
    def load(self) -> Iterator[ZipthoughtTask]:
        path = Path(__file__).parent / f"{self.config.split}.jsonl"
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield ZipthoughtTask(ZipthoughtData(**json.loads(line)), self.config.task)


class ZipthoughtGroupConfig(vf.EnvConfig):
    agent: vf.AgentConfig = vf.AgentConfig()
    n: int = 8
    """Attempts at a problem."""


class ZipthoughtGroup(vf.Env[ZipthoughtGroupConfig]):
    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        attempt = task.defer_scoring()
        await asyncio.gather(*(agents.agent.run(attempt) for _ in range(self.config.n)))

    async def finalize(self, task: vf.Task, episode: vf.Episode) -> None:
        """Score the attempts together. One that failed is no wrong answer: it has no score."""
        attempts = [trace for trace in episode.traces if trace.ok]
        replies = [trace.last_reply for trace in attempts]
        scores = verifiers_scores(replies, task.data.info, REWARD, TOKENIZER)
        for trace, score in zip(attempts, scores, strict=True):
            trace.record_reward("outcome", score["score"])
            trace.record_metric("faithful", score["faithful"])
