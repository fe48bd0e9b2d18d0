"""Tasks: the problem spaces, the sampler that draws from them, and the splits.

    parse_task("tree:width=4")                  # a Task
    sample(n_ops=6, seed=0, task="tree")        # item 0 of the train split

Adding a task is one module with a subclass of `Task`, its line below, and nothing else; the contract test
(`tests/test_contracts.py`) covers whatever is registered.
"""

from __future__ import annotations

from ..core.registry import Registry
from .base import Skeletons, Task
from .chain import Chain
from .tree import Tree

TASKS: Registry[type[Task]] = Registry("task", ("parse", "chains", "n_quantities", "skeletons"), classes=True)

for _task in (Chain, Tree):
    TASKS.register(_task)


def parse_task(text: str) -> Task:
    """The task that a text names: ``chain``, ``tree``, ``tree:width=4,depth=3``.

    Raises `ValueError` naming the tasks that exist, or the settings that a task takes.
    """
    name, _, settings = text.partition(":")
    return TASKS.find(name).parse(settings)


__all__ = ["TASKS", "Chain", "Skeletons", "Task", "Tree", "parse_task"]
