"""How the cells of a study run: the table ``[execution]`` of its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..train.config import Execution
from ..train.trl_config import TRLConfig

if TYPE_CHECKING:
    from .cells import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class CellExecution(Execution):
    """The settings of `Execution`, and those of the engine `trl` that are options of their own in ``zipthought
    train``."""

    vllm: str = ""
    """Where vLLM generates the rollouts of RLVR: `colocate` on the training GPU, or `server`. Empty: transformers. For
    the engine `trl`."""
    vllm_memory: float = 0.3
    """Share of a GPU's memory for a colocated vLLM."""

    def __post_init__(self) -> None:
        Execution.__post_init__(self)
        self.trl()

    def trl(self, lora_rank: int = 0) -> TRLConfig:
        """The settings of the engine `trl`. Raises `ValueError` as `TRLConfig` does."""
        return TRLConfig(lora_rank=lora_rank, vllm=self.vllm, vllm_memory=self.vllm_memory)

    def trl_of(self, cell: Cell) -> TRLConfig:
        """The settings of the engine `trl` for a cell; the defaults for a cell of another engine."""
        return self.trl(cell.lora_rank) if cell.engine == "trl" else TRLConfig()


__all__ = ["CellExecution"]
