"""A verifiers taskset: one question, one solution, judged by zipthought. The reward is the outcome, or what the
environment variable REWARD names (`outcome+length:0.001`, `cosine:limit=512`, ...), in tokens of the tokenizer that
TOKENIZER names; `faithful` is measured beside it.

    pip install .
    vf-eval zipthought-env --env.taskset.split test --model MODEL --no-push

Written by `zipthought export`. The model gets no tools: the harness of this package is `null`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.harnesses.null import NullHarness

from zipthought.train.interfaces import verifiers_faithful, verifiers_outcome

__all__ = ["NullHarness", "ZipthoughtTaskset"]


class ZipthoughtData(vf.TaskData):
    info: dict[str, Any]
    """What the verifier needs of the problem."""


class ZipthoughtTask(vf.Task[ZipthoughtData]):
    @vf.reward
    async def outcome(self, trace: vf.Trace) -> float:
        return verifiers_outcome(
            trace.last_reply,
            self.data.info,
            reward=os.environ.get("REWARD", "outcome"),
            tokenizer=os.environ.get("TOKENIZER", ""),
        )

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
