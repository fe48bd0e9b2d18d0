"""Batches of generation in halves, where memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")
U = TypeVar("U")


class Halving:
    """Tries the batches of one call of generation, and remembers the size that fitted."""

    def __init__(self) -> None:
        self._most: int | None = None
        """Rows that a batch may have; None: nothing has run out of memory yet."""

    def run(self, rows: Sequence[T], attempt: Callable[[list[T]], U]) -> Iterator[tuple[list[T], U]]:
        """The batch with ``attempt(batch)``, or its parts with theirs, in order.

        Raises `ValueError` if one row does not fit.
        """
        done = 0
        while done < len(rows):
            part = list(rows[done : done + (self._most or len(rows))])
            result = self._try(part, attempt)
            if result:
                done += len(part)
                yield part, result[0]
            else:
                self._halve(len(part))

    def _try(self, part: list[T], attempt: Callable[[list[T]], U]) -> tuple[U] | None:
        """The result; None if memory ran out. The tensors of a failed attempt are free when it returns."""
        try:
            return (attempt(part),)
        except torch.OutOfMemoryError as error:
            if len(part) == 1:
                raise ValueError(
                    "the completions of one prompt do not fit into the memory of the device; use a smaller "
                    "--max-new-tokens, fewer --samples or a larger device"
                ) from error
            return None

    def _halve(self, size: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._most = size // 2
        warnings.warn(f"a batch of {size} ran out of memory; it is repeated in batches of {self._most}", stacklevel=2)


__all__ = ["Halving"]
