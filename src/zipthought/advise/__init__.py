"""Advice: which compression fits a budget, from measured curves, with its uncertainty.

advice = advise(Question(examples=5000, n_ops=8), load(None))
"""

from __future__ import annotations

from .answer import Advice, advise
from .reference import Reference, load
from .scope import Question

__all__ = ["Advice", "Question", "Reference", "advise", "load"]
