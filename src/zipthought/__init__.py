"""zipthought: compressed reasoning data for LLM post-training, verified step by step.

import zipthought as zt
problem = zt.sample(n_ops=6, seed=0)
trace = zt.compress(zt.solve(problem), "composed:2")
text = zt.render(trace, surface="english")
verdict = zt.verify(text, problem)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.compress import compress
    from .core.problem import Problem
    from .core.trace import Step, Trace, solve
    from .core.verify import Verdict
    from .surfaces import render, render_problem, verify
    from .tasks.sampling import SamplerConfig, sample

__version__ = "0.3.0"

# Each name is imported on first access, so that `import zipthought` stays instant.
_HOMES = {
    "Problem": "core.problem",
    "SamplerConfig": "tasks.sampling",
    "Step": "core.trace",
    "Trace": "core.trace",
    "Verdict": "core.verify",
    "compress": "core.compress",
    "render": "surfaces",
    "render_problem": "surfaces",
    "sample": "tasks.sampling",
    "solve": "core.trace",
    "verify": "surfaces",
}

__all__ = [
    "Problem",
    "SamplerConfig",
    "Step",
    "Trace",
    "Verdict",
    "compress",
    "render",
    "render_problem",
    "sample",
    "solve",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zipthought' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"zipthought.{_HOMES[name]}"), name)
    return value
