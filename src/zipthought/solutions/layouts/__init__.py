"""Layouts of the records of others: where a record has its question, its solution and its final answer.

    for source in Reading(layout="aqua").sources(record): ...

`table.LAYOUTS` has the layouts. `Reading` has the settings that choose among them.
"""

from __future__ import annotations

from .sources import Reading, Source
from .table import LAYOUTS, Layout, read_layouts

__all__ = ["LAYOUTS", "Layout", "Reading", "Source", "read_layouts"]
