"""How the cells of a study run: the table ``[execution]`` of its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..train.config import Execution
from ..train.trl_config import TRLConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..models.backends import TrainedBackend
    from ..train.launch import Launch
    from .cells import Cell

_KNOWN = ("native", "transformers", "vllm")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellExecution(Execution):
    """The settings of `Execution`, and those of the engine `trl` that are options of their own in ``zipthought
    train``."""

    vllm: str = ""
    """Where vLLM generates the rollouts of RLVR: `colocate` on the training GPU, or `server`. Empty: transformers. For
    the engine `trl`."""
    vllm_memory: float = 0.3
    """Share of a GPU's memory for a vLLM beside the training."""
    padding_free: bool = False
    """SFT of the engine `trl` without padding (`train.trl_config.TRLConfig.padding_free`)."""
    processes: int = 1
    """Processes that train a cell of the engine `trl`, each on a GPU of its own. With more than one the model is
    measured at the end of its training alone."""
    launch_config: str = ""
    """A configuration of accelerate for these processes, such as `examples/fsdp.yaml`."""
    generation: str = "native"
    """What generates the completions of measurements, and the rollouts of the engine `native`: `native` (our own
    decoder), `transformers`, or `vllm` on the training GPU, where it sleeps meanwhile. The others give other samples
    with the same seed."""

    def __post_init__(self) -> None:
        Execution.__post_init__(self)
        self.trl()
        if self.processes < 1:
            raise ValueError(f"processes must be at least 1, got {self.processes}")
        if self.launch_config and not Path(self.launch_config).is_file():
            raise ValueError(f"launch_config: no file {self.launch_config!r}")
        if self.generation not in _KNOWN:
            from ..models.backends import BACKENDS  # It imports torch.

            BACKENDS.find(self.generation)

    def backend(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TrainedBackend:
        """What generates for a cell with its model. Raises `ValueError` as `LocalBackend.of` does."""
        from ..models.backends import BACKENDS

        return BACKENDS.find(self.generation).of(model, tokenizer, self.vllm_memory)

    def trl(self, lora_rank: int = 0) -> TRLConfig:
        """The settings of the engine `trl`. Raises `ValueError` as `TRLConfig` does."""
        return TRLConfig(
            lora_rank=lora_rank, vllm=self.vllm, vllm_memory=self.vllm_memory, padding_free=self.padding_free
        )

    @property
    def launch(self) -> Launch | None:
        """How the processes of a cell start; None: the cell trains in its own."""
        from ..train.launch import Launch

        return Launch(processes=self.processes, config_file=self.launch_config) if self.processes > 1 else None

    def trl_of(self, cell: Cell) -> TRLConfig:
        """The settings of the engine `trl` for a cell; the defaults for a cell of another engine."""
        return self.trl(cell.lora_rank) if cell.engine == "trl" else TRLConfig()


__all__ = ["CellExecution"]
