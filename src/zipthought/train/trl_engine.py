"""The engine `trl`: the same SFT and RLVR through TRL's trainers (accelerate, PEFT, FSDP, DeepSpeed, vLLM).

    accelerate launch -m zipthought train rlvr --engine trl --model Qwen/Qwen2.5-3B --n-ops 10 11 12 --output-dir rl

Prompts, batches, rewards, optimizer, schedule and the columns of ``metrics.jsonl`` are those of the native engine, so
results of both engines are comparable. Two things differ: TRL also computes the gradient of groups with equal rewards,
and checkpoints are those of the Trainer (``checkpoint-N``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.generation import declare_ends, end_of_sequence
from ..records.chat import completion_text, prompt_text
from .batches import EpochBatches, Example
from .config import RLVRConfig, SFTConfig, results_depend_on
from .loop import LoopResult, Resumable, fingerprint
from .prompts import PromptSource, RolloutPrompt
from .rates import with_rate
from .rewards import parse_reward
from .rollouts import Rollout, counter_of, rewards_of, rollout_metrics
from .sft import SFTResult, training_set
from .trl_common import SAMPLING, Metrics, OnStep, Share, TrainerRun, arguments, import_trl, lora, scheduled, share_of

_RLVR_COLUMNS = ("reward", "zero_variance", "response_tokens", "truncated", "kl", "entropy", "clipped")
_LOSS_TYPES = {"token": "dapo", "sequence": "grpo", "constant": "dr_grpo"}
"""`RLVRConfig.loss` -> TRL's name."""


class _Batches(torch.utils.data.Sampler):
    """Batches of indices in a fixed order, with the attributes by which accelerate splits them over processes."""

    drop_last = False

    def __init__(self, batches: list[list[int]], batch_size: int) -> None:
        self.batches, self.batch_size = batches, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def split_evenly(indices: Sequence[int], pieces: int) -> list[list[int]]:
    """The indices of an update in `pieces` parts of equal size. The last batch of an epoch may be too short for that;
    then its indices are repeated from the start."""
    width = -(-len(indices) // pieces)
    filled = [indices[i % len(indices)] for i in range(width * pieces)]
    return [filled[i : i + width] for i in range(0, len(filled), width)]


def sft_with_trl(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    config: SFTConfig,
    *,
    directory: Path,
    model_directory: Path | None = None,
    resume: bool = False,
    on_step: OnStep | None = None,
    on_start: Callable[[int], None] | None = None,
    watch: Resumable | None = None,
) -> SFTResult:
    """The same as `sft.fine_tune`, through TRL's SFTTrainer. The trained model is saved in `model_directory`; None:
    in `directory`. Checkpoints hold the state of `watch`, too.

    Also raises `ValueError` if TRL is missing, and if batches cannot be split evenly.
    """
    trl = import_trl()
    from datasets import Dataset

    config = with_rate(config, model.num_parameters())
    data = training_set(tokenizer, records, config.max_length)
    plan = EpochBatches(data.examples, config.batch_size, config.seed, tokenizer.pad_token_id or 0)
    steps = config.total_steps(plan.steps_per_epoch)
    if on_start:
        on_start(steps)
    share = share_of(config, model, config.batch_size, max(len(example.ids) for example in data.examples))
    pieces = config.batch_size // share.per_device  # of an update, over all devices
    batches = [piece for step in range(steps) for piece in split_evenly(plan.indices(step), pieces)]

    class Trainer(scheduled(trl.SFTTrainer, config.optimizer)):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            loader = torch.utils.data.DataLoader(
                self.train_dataset, batch_sampler=_Batches(batches, share.per_device), collate_fn=self.data_collator
            )
            return self.accelerator.prepare(loader)

    metrics = Metrics(directory, lambda row: {name: row.get(name) for name in ("loss", "gradient_norm")}, 1, on_step)
    trainer = Trainer(
        model=model,
        args=trl.SFTConfig(
            **arguments(config, model, steps, directory, share),
            max_length=None,
            packing=False,
            padding_free=config.trl.padding_free,
            completion_only_loss=True,
        ),
        train_dataset=Dataset.from_dict(_columns(data.examples)),
        processing_class=tokenizer,
        peft_config=lora(config.trl),
        callbacks=[metrics],
    )
    identity = {**results_depend_on(config), "examples": data.digest, "weights": fingerprint(model)}
    run = TrainerRun(
        directory=directory, model_directory=model_directory, resume=resume, identity=identity, watch=watch
    )
    return SFTResult.of(run.execute(steps, trainer, metrics, tokenizer), data)


def _columns(examples: Sequence[Example]) -> dict[str, list[list[int]]]:
    """The columns of TRL's data set."""
    return {
        "input_ids": [e.ids for e in examples],
        "completion_mask": [[0] * e.prompt_length + [1] * (len(e.ids) - e.prompt_length) for e in examples],
    }


class _Rewards:
    """The reward function for TRL. It verifies each completion once, and keeps the rollouts of the last step for the
    metrics.

    TRL takes a reward of None for 0. In a group without other rewards that means no advantage, so the group is skipped.
    """

    __name__ = "reward"  # TRL names its metrics by it.

    def __init__(
        self,
        prompts: Sequence[RolloutPrompt],
        tokenizer: PreTrainedTokenizerBase,
        ends: Sequence[int],
        config: RLVRConfig,
    ) -> None:
        """`ends` are the tokens that end a completion."""
        self._prompts, self._tokenizer, self._ends = prompts, tokenizer, frozenset(ends)
        self._reward, self._group_size = parse_reward(config.reward), config.group_size
        self._rollouts: list[Rollout] = []
        self._skipped = 0

    def __call__(
        self, prompts: Any, completions: Any, completion_ids: Any, prompt_index: list[int], **_: Any
    ) -> list[float | None]:
        texts = [completion_text(self._tokenizer, text) for text in completions]
        self._rollouts = [
            Rollout(
                prompt=index,
                ids=list(ids),
                text=text,
                truncated=not ids or ids[-1] not in self._ends,
                logprobs=[],
                verdict=self._prompts[index].verify(text),
            )
            for index, text, ids in zip(prompt_index, texts, completion_ids, strict=True)
        ]
        if self._reward.grouped and len(texts) % self._group_size:
            raise ValueError(
                f"the reward {self._reward.NAME!r} compares the completions of a problem, and a process got "
                f"{len(texts)} of them in groups of {self._group_size}; let each process have whole groups"
            )
        scores = rewards_of(self._rollouts, self._prompts, self._reward, counter_of(self._tokenizer))
        self._skipped = scores.count(None) // self._group_size
        return scores

    def row(self, logged: Mapping[str, float]) -> dict[str, Any]:
        """The columns of a step, from what TRL logged and from our verdicts. With vLLM there are columns on how its
        log-probabilities differ from the trainer's."""
        columns = {name: logged.get(name) for name in (*_RLVR_COLUMNS, "loss", "gradient_norm")}
        columns |= {name: value for name, value in logged.items() if name.startswith(SAMPLING)}
        return {**rollout_metrics(self._rollouts), **columns, "skipped": self._skipped}


def rlvr_with_trl(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: PromptSource,
    config: RLVRConfig,
    *,
    directory: Path,
    model_directory: Path | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    on_step: OnStep | None = None,
    watch: Resumable | None = None,
) -> LoopResult:
    """The same as `grpo.grpo`, through TRL's GRPOTrainer. The trained model is saved in `model_directory`; None: in
    `directory`. Checkpoints hold the state of `watch`, too.

    Also raises `ValueError` if TRL is missing, if batches cannot be split evenly, and if the tokenizer turns the text
    of a prompt into other tokens than `records.chat` does.
    """
    trl = import_trl()
    from datasets import Dataset

    if config.trl.vllm == "colocate" and find_spec("vllm") is None:
        raise ValueError("--vllm colocate needs vLLM; install the package vllm, or leave the option out")
    config = with_rate(config, model.num_parameters())
    steps = [prompts(step) for step in range(config.steps)]
    everything = [prompt for of_step, _ in steps for prompt in of_step]
    longest = max(len(prompt.ids) for prompt in everything) + max(budget for _, budget in steps)
    share = share_of(config, model, config.prompts_per_step * config.group_size, longest)
    declare_ends(model, tokenizer)  # TRL reads them there.
    ends = end_of_sequence(model, tokenizer)
    rewards = _Rewards(everything, tokenizer, ends, config)
    metrics = Metrics(directory, rewards.row, config.passes, on_step)
    columns = {
        "prompt": [_text(tokenizer, prompt) for prompt in everything],
        "prompt_index": list(range(len(everything))),
    }
    trainer = scheduled(trl.GRPOTrainer, config.optimizer)(
        model=model,
        reward_funcs=rewards,
        args=trl.GRPOConfig(
            **arguments(config, model, config.steps * config.passes, directory, share),
            **_grpo_arguments(config, share, ends),
            max_completion_length=max(budget for _, budget in steps),
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        peft_config=lora(config.trl),
        callbacks=[metrics],
    )
    whole = {**results_depend_on(config), **(identity or {}), "weights": fingerprint(model)}
    run = TrainerRun(directory=directory, model_directory=model_directory, resume=resume, identity=whole, watch=watch)
    return run.execute(config.steps, trainer, metrics, tokenizer)


def _grpo_arguments(config: RLVRConfig, share: Share, ends: Sequence[int]) -> dict[str, Any]:
    """The training arguments of GRPOTrainer alone. `ends` are the tokens that end a completion."""
    trl = config.trl
    return {
        "num_generations": config.group_size,
        "steps_per_generation": share.passes,
        "num_iterations": config.passes,
        "temperature": config.temperature,
        "shuffle_dataset": False,
        "loss_type": _LOSS_TYPES[config.loss],
        "scale_rewards": "group" if config.advantage == "grpo" else "none",
        "epsilon": config.clip,
        "epsilon_high": config.clip_high,
        "beta": config.kl,
        "use_vllm": bool(trl.vllm),
        "vllm_mode": trl.vllm or "colocate",
        "vllm_gpu_memory_utilization": trl.vllm_memory,
        "vllm_importance_sampling_correction": trl.vllm_correction != "off",
        "vllm_importance_sampling_mode": "sequence_mask" if trl.vllm_correction == "off" else trl.vllm_correction,
        "vllm_importance_sampling_clip_max": trl.vllm_max_ratio,
        # vLLM reads the generation configuration of the base's files, which may lack the end of a turn.
        "generation_kwargs": {"stop_token_ids": list(ends)} if trl.vllm else None,
    }


def _text(tokenizer: PreTrainedTokenizerBase, prompt: RolloutPrompt) -> str:
    """The text that TRL turns into the tokens of the prompt. Some tokenizers add a beginning of sequence to every text,
    which a chat template has written already, and some do not. Raises `ValueError` if there is no such text."""
    text, bos = prompt_text(tokenizer, prompt.turns), str(tokenizer.bos_token or "")
    for candidate in (text, bos + text, text.removeprefix(bos)):
        if tokenizer(text=candidate).input_ids == prompt.ids:
            return candidate
    raise ValueError(
        "TRL would turn prompts into other tokens than ours; remove what the tokenizer adds at the end of a text"
    )


__all__ = ["rlvr_with_trl", "sft_with_trl", "split_evenly"]
