"""Compression of files of real solutions: read, verify, compress, count. Failing records go to a file of rejects.

    compress_file(CompressConfig(input=Path("train.jsonl"), output=Path("out.jsonl"), format=("composed:2",)))

Every record of the input is either in the output, once for each format, or in ``OUTPUT.rejects.jsonl``. Records keep
their order and the id of their source, whatever the number of processes.
"""

from __future__ import annotations

from .config import CompressConfig, token_counter
from .explain import Explanation, explain_file
from .reading import ReadSolution, Rewriter
from .work import compress_file

__all__ = [
    "CompressConfig",
    "Explanation",
    "ReadSolution",
    "Rewriter",
    "compress_file",
    "explain_file",
    "token_counter",
]
