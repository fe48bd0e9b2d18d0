"""Task ``chain``: each quantity is the one before it combined with a constant (paper, section 3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.problem import structure_digest
from .base import Skeletons, Task

if TYPE_CHECKING:
    from .draws import Draws
    from .sampling import SamplerConfig


@dataclass(frozen=True, slots=True)
class Chain(Task):
    """One start, then `n_ops` operations with constants."""

    NAME = "chain"
    chains = True

    def n_quantities(self, n_ops: int) -> int:
        return n_ops + 1

    def skeletons(self, config: SamplerConfig, draws: Draws) -> Skeletons:
        start = draws.integers("start", 1, 1, config.number_range)
        op = draws.integers("op", config.n_ops, 0, len(config.operators))
        is_times = op == config.operators.find("*")
        constant = draws.integers("constant", config.n_ops, 1 + is_times, config.number_range)
        op = np.concatenate([np.full_like(start, -1), op], axis=1)
        left = np.tile(np.arange(-1, config.n_ops), (len(op), 1))
        return Skeletons(op, left, np.full_like(op, -1), np.concatenate([start, constant], axis=1))

    def digests(self, config: SamplerConfig, skeletons: Skeletons) -> np.ndarray:
        if config.number_range <= 10:
            return _single_digit_digests(config, skeletons.op, skeletons.constant)
        texts = []
        for op, constant in zip(skeletons.op.tolist(), skeletons.constant.tolist(), strict=True):
            symbols = [config.operators[i] for i in op[1:]]
            texts.append(structure_digest(config.modulus, constant[0], symbols, constant[1:]))
        return np.frombuffer(bytes.fromhex("".join(texts)), dtype=np.uint8).reshape(-1, 32)

    def count_structures(self, config: SamplerConfig) -> int:
        constants = sum(config.number_range - 1 - (op == "*") for op in config.operators)
        return (config.number_range - 1) * constants**config.n_ops


def _single_digit_digests(config: SamplerConfig, op: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """`structure_digest` of chains whose constants are single digits, so that all texts have the same length.

    op, constant: (B, n_ops + 1). Returns (B, 32) uint8.
    """
    n = config.n_ops
    before = '{"constants":['
    between = f'],"modulus":{config.modulus},"ops":"'
    text = f'{before}{",".join("0" * n)}{between}{"+" * n}","start":0}}'
    first_op = len(before) + 2 * n - 1 + len(between)
    texts = np.tile(np.frombuffer(text.encode(), dtype=np.uint8), (len(op), 1))
    texts[:, len(before) : len(before) + 2 * n : 2] = constant[:, 1:] + ord("0")
    texts[:, first_op : first_op + n] = np.frombuffer(config.operators.encode(), dtype=np.uint8)[op[:, 1:]]
    texts[:, -2] = constant[:, 0] + ord("0")
    sha256 = hashlib.sha256
    digests = b"".join([sha256(text).digest() for text in texts.view(f"S{len(text)}").ravel().tolist()])
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)
