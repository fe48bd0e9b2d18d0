"""What ``zipthought train sft`` and ``train rlvr`` share: the options of a run, its model and rate, its trackers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..train.config import RLVRConfig, SFTConfig
from ..train.output import RunDirectory
from ..train.rates import note_on_rate, with_rate
from ..train.trackers import Log, tracking
from ..train.weights import resolve_dtype
from .console import console

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Config = TypeVar("Config", SFTConfig, RLVRConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of every training run."""

    output_dir: Path
    """Receives the model, its tokenizer, metrics.jsonl and run.json when the run is finished. Until then the run works
    in the directory `<output_dir>.partial` beside it."""
    model: str = "bundled"
    """bundled, bundled-deep, bundled-mixed, neutral, neutral-2, a directory with a model, or a hub id, also with a
    revision (org/name@v1). `train rlvr` excludes the structures in the SFT data of a model that `train sft` wrote."""
    resume: bool = False
    """Continue an unfinished run from its checkpoint, if there is one."""
    device: str = "auto"
    """auto, cpu or cuda; the engine trl finds its devices itself."""
    threads: int = 0
    """CPU threads; 0 is the default of torch."""
    push_to_hub: str = ""
    """Upload the finished model to this repository of the Hugging Face Hub, such as org/name. A new repository is
    private. The token is that of `hf auth login`, or HF_TOKEN."""
    save_dtype: str = "auto"
    """Type of the weights of the saved model: float32, bfloat16 (half the size), or auto: float32. Training computes
    as --precision says."""
    report_to: tuple[str, ...] = ()
    """Trackers that receive the metrics of each step: tensorboard (in <output_dir>/tensorboard), trackio, wandb."""
    json: bool = False
    """Print the result as one object on standard output."""

    def __post_init__(self) -> None:
        resolve_dtype(self.save_dtype)


@contextmanager
def working(output: RunDirectory, run: RunOptions) -> Iterator[None]:
    """While the block runs, the run owns its directory. Raises `ValueError` as `RunDirectory.require_usable` does."""
    output.require_usable(run.resume)
    with output.working() if is_main() else nullcontext():
        yield


def is_main() -> bool:
    """Whether this process writes and reports: it is the only one, or the first of those that ``accelerate launch``
    started."""
    return os.environ.get("RANK", "0") == "0"


def load_model(run: RunOptions, config: SFTConfig | RLVRConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model to train. TRL moves it to its devices itself."""
    import torch

    from ..models.loading import load

    if run.threads:
        torch.set_num_threads(run.threads)
    device = run.device if config.engine == "native" else "cpu"
    return load(run.model, device, training=True, attention=config.execution.attention)


def rated(config: Config, model: PreTrainedModel) -> Config:
    """The configuration with a learning rate. Prints which one was chosen, or a warning."""
    parameters = model.num_parameters()
    if is_main() and (note := note_on_rate(config, parameters)):
        console.print(note, markup=False, highlight=False)
    return with_rate(config, parameters)


def trackers_of(run: RunOptions, output: RunDirectory, settings: dict[str, Any]) -> AbstractContextManager[Log]:
    """The trackers of a run, in its main process."""
    return tracking(run.report_to if is_main() else (), output.work, output.target.name, settings)


def to_all(*receivers: Log) -> Log:
    """Hands a row of metrics to all receivers."""

    def on_step(row: Mapping[str, Any]) -> None:
        for receive in receivers:
            receive(row)

    return on_step


def note_of(row: Mapping[str, Any], metric: str) -> str:
    """A metric as the progress bar shows it; empty if the step has none."""
    return "" if row[metric] is None else f"{metric} {row[metric]:.4f}"


__all__ = ["Config", "RunOptions", "is_main", "load_model", "note_of", "rated", "to_all", "trackers_of", "working"]
