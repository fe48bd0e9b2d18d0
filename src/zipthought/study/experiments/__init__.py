"""The experiments that ship, one package each: settings and cells, findings, and the part of the report.

[scaling]         format x distinct examples, with equal updates              F1, F2a
[repetition]      format x epochs over the same examples                      F2b
[decomposition]   SFT, then RLVR against more SFT and the base                F3, F7, F5
[orders]          order x treatment of positions, lengths beyond training     F4
[baselines]       format x training tokens                                    F8
"""

from __future__ import annotations

from ..experiment import EXPERIMENTS, Experiment
from .baselines import Baselines
from .decomposition import Decomposition
from .orders import Orders
from .repetition import Repetition
from .scaling import Scaling

for _experiment in (Scaling, Repetition, Decomposition, Orders, Baselines):
    EXPERIMENTS.register(_experiment)

__all__ = ["EXPERIMENTS", "Baselines", "Decomposition", "Experiment", "Orders", "Repetition", "Scaling"]
