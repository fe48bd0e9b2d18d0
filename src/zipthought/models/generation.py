"""Completions of a causal language model: greedy or sampled, in batches, with a key-value cache.

Prompts are sorted by length and padded on the right, where causal attention needs no mask. The model reads a prompt
once for all its samples. Then it reads one token of every row a step. If several samples share a prompt, they also
share its keys and values (`shared_prompts`). Otherwise each row has its own copy, all rows write into the same column
of the cache, and a mask hides the gap between a short prompt and that column. The cache grows in place, in blocks,
because `DynamicCache` copies itself at every token. Finished rows are dropped from the batch.

The random numbers of a row depend only on the seed, the index of the prompt, the index of the sample and the index of
the token. So the batch size changes results only through rounding.

Shapes: B rows, T columns of the cache, V vocabulary, H heads, D head width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from ..records.chat import completion_text, end_of_turn
from .halving import Halving
from .shared_prompts import Prompts, attending, is_supported

_GROWTH = 64
"""A full cache grows by this many columns."""
_COMPACTION = 0.8
"""Finished rows are dropped when at most this share is still running, because dropping copies the cache."""


class Completion(NamedTuple):
    """The completion of a prompt."""

    ids: list[int]
    """Tokens, without the end of sequence."""
    text: str
    """The text of the tokens, without special tokens and what a chat template writes around the assistant's text."""
    truncated: bool
    """Whether the completion reached `max_new_tokens` without an end of sequence."""
    logprobs: list[float] | None = None
    """Log-probabilities of the tokens and, unless truncated, of the end of sequence, under the sampling distribution
    (greedy: under the model). None if they were not requested."""
    end: int | None = None
    """The end-of-sequence token; None if truncated."""

    @property
    def n_tokens(self) -> int:
        """Generated tokens, the end of sequence included."""
        return len(self.ids) + (not self.truncated)


class _GrowingLayer(DynamicLayer):
    """Keys and values of a layer, (B, H, T, D), as views of buffers with free columns."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.keys, self.values = keys, values
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        used = self.keys.shape[-2]
        end = used + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            rows, heads, _, width = key_states.shape
            keys = key_states.new_empty(rows, heads, end + _GROWTH, width)
            values = value_states.new_empty(rows, heads, end + _GROWTH, value_states.shape[-1])
            keys[:, :, :used], values[:, :, :used] = self.keys, self.values
            self._buffers = keys, values
        keys, values = self._buffers
        keys[:, :, used:end], values[:, :, used:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.keys, self.values = self.keys[indices], self.values[indices]
        self._buffers = None


def is_growable(cache: DynamicCache) -> bool:
    """Whether every layer attends to all earlier columns. Sliding windows count columns, so they allow no gap."""
    return bool(cache.layers) and all(type(layer) in (DynamicLayer, _GrowingLayer) for layer in cache.layers)


def end_of_sequence(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """`ends_of` with the model's generation configuration."""
    return ends_of(tokenizer, getattr(model, "generation_config", None))


def ends_of(tokenizer: PreTrainedTokenizerBase, generation: GenerationConfig | None) -> list[int]:
    """The tokens that end a completion: that of the chat template (`records.chat.end_of_turn`), and the end-of-sequence
    tokens of the tokenizer and of the generation configuration.

    Raises `ValueError` if there are none.
    """
    also = getattr(generation, "eos_token_id", None)
    declared = also if isinstance(also, list) else [also]
    ends = {end_of_turn(tokenizer), tokenizer.eos_token_id, *declared} - {None}
    if not ends:
        raise ValueError("neither tokenizer nor model has an end-of-sequence token; set one, or completions never end")
    return sorted(ends)


def declare_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write `end_of_sequence` into the model's generation configuration, where TRL, vLLM and others read it, also from
    the saved model. That of a base model with a chat template often lacks the token that ends a turn."""
    ends = end_of_sequence(model, tokenizer)
    if model.generation_config is not None:
        model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sampling:
    """How the tokens of a row are chosen."""

    max_new_tokens: int
    temperature: float
    """0 is greedy."""
    seed: int
    ends: tuple[int, ...]
    """End-of-sequence tokens."""
    logprobs: bool
    """Whether log-probabilities are requested."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if self.temperature < 0 or self.seed < 0:
            raise ValueError(f"temperature and seed must not be negative, got {self.temperature} and {self.seed}")


Row = tuple[int, int]
"""The index of a prompt, and the index of one of its samples."""
Written = tuple[list[int], list[float] | None]
"""The tokens of a row, the end of sequence included, and their log-probabilities if requested."""


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 256,
    logprobs: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[list[Completion]]:
    """Generate `samples` completions of each prompt (token ids), in the order of the prompts.

    `temperature` 0 is greedy. A batch has at most `batch_size` rows (completions), fewer where memory runs out.
    `on_progress` receives the number of finished completions and the total. Raises `ValueError` for arguments out of
    range, for an empty prompt, and for prompts that exceed the model's positions together with `max_new_tokens`.
    """
    if samples < 1 or batch_size < 1:
        raise ValueError(f"samples and batch_size must be at least 1, got {samples} and {batch_size}")
    ends = tuple(end_of_sequence(model, tokenizer))
    sampling = _Sampling(
        max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, ends=ends, logprobs=logprobs
    )
    check_prompts(prompts, getattr(model.config, "max_position_embeddings", None), max_new_tokens)
    rows = [(prompt, sample) for prompt in range(len(prompts)) for sample in range(samples)]
    rows.sort(key=lambda row: (len(prompts[row[0]]), row))
    written: dict[Row, Written] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            halving = Halving()
            for chunk in _chunks(model, rows, prompts, batch_size):
                for part, made in halving.run(chunk, lambda part: _Decoder(model, part, prompts, sampling).run()):
                    written |= zip(part, made, strict=True)
                    if on_progress:
                        on_progress(len(written), len(rows))
    finally:
        model.train(was_training)
    flat = completions_of(tokenizer, [written[row] for row in sorted(rows)], set(ends))
    return [flat[i : i + samples] for i in range(0, len(flat), samples)]


def check_prompts(prompts: Sequence[Sequence[int]], positions: int | None, max_new_tokens: int) -> None:
    """Raises `ValueError` for an empty prompt, and for prompts that exceed the model's positions (None: no limit)."""
    longest = max((len(prompt) for prompt in prompts), default=0)
    if positions and longest + max_new_tokens - 1 > positions:
        raise ValueError(
            f"a prompt of {longest} tokens and max_new_tokens={max_new_tokens} exceed the model's {positions} "
            "positions; lower max_new_tokens or shorten the prompts"
        )
    if not all(prompts):
        raise ValueError("a prompt has no tokens; start it with a beginning-of-sequence token at least")


def completions_of(tokenizer: PreTrainedTokenizerBase, written: Sequence[Written], ends: set[int]) -> list[Completion]:
    """The completions of these rows, with their texts."""
    bodies = [ids[:-1] if ids[-1] in ends else ids for ids, _ in written]
    return [
        Completion(body, text, truncated=ids[-1] not in ends, logprobs=logs, end=ids[-1] if ids[-1] in ends else None)
        for (ids, logs), body, text in zip(written, bodies, _decode_texts(tokenizer, bodies), strict=True)
    ]


def _decode_texts(tokenizer: PreTrainedTokenizerBase, bodies: list[list[int]]) -> list[str]:
    """Texts of many token lists. Spaces are not cleaned up, because the parsers of surfaces are exact about them."""
    if not bodies:
        return []
    texts = tokenizer.batch_decode(bodies, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [completion_text(tokenizer, text) for text in texts]


def _chunks(
    model: PreTrainedModel, rows: list[Row], prompts: Sequence[Sequence[int]], batch_size: int
) -> Iterable[list[Row]]:
    """`rows` in batches. All samples of a prompt are in the same batch if they fit into one. If the model's cache
    allows no gap, all prompts of a batch have the same length."""
    one_length = not is_growable(DynamicCache(config=model.config))
    samples = len(rows) // len(prompts) if prompts else 1
    batch_size -= batch_size % samples if samples <= batch_size else 0
    chunk: list[Row] = []
    for row in rows:
        other = chunk and one_length and len(prompts[row[0]]) != len(prompts[chunk[0][0]])
        if len(chunk) == batch_size or other:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _prefill(model: PreTrainedModel, prompts: list[Sequence[int]]) -> DynamicCache:
    """The cache after all but the last token of each prompt."""
    width = max(len(prompt) for prompt in prompts) - 1
    cache = DynamicCache(config=model.config)
    if not width:
        return cache
    ids = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt) - 1] = prompt[:-1]
    # The decoder alone skips the output layer, which is not needed here.
    model.get_decoder()(input_ids=torch.from_numpy(ids).to(model.device), past_key_values=cache, use_cache=True)
    return cache


def _share(model: PreTrainedModel, cache: DynamicCache, prompts: list[Sequence[int]], rows: int) -> Prompts:
    """Move the prompts' part out of a cache, which keeps the empty part of `rows` completions."""
    layers = [(layer.keys, layer.values) for layer in cache.layers if isinstance(layer, DynamicLayer)]
    cache.layers = [
        _GrowingLayer(*(x.new_empty(rows, x.shape[1], 0, x.shape[3]) for x in layer))  # type: ignore[union-attr, misc]
        for layer in layers
    ]
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    return Prompts(layers, lengths)  # type: ignore[arg-type]


def _repeat(cache: DynamicCache, repeats: torch.Tensor) -> None:
    """Give every completion its own copy of its prompt's part: the rows `repeats` (B,) of the cache."""
    if is_growable(cache):
        full = [layer for layer in cache.layers if isinstance(layer, DynamicLayer) and layer.is_initialized]
        if full:
            cache.layers = [_GrowingLayer(layer.keys[repeats], layer.values[repeats]) for layer in full]  # type: ignore[index]
    else:
        cache.batch_select_indices(repeats)


class _Decoder:
    """Generates the completions of one batch, one token of every row a step."""

    def __init__(
        self, model: PreTrainedModel, rows: list[Row], prompts: Sequence[Sequence[int]], sampling: _Sampling
    ) -> None:
        self._model, self._sampling = model, sampling
        device, limit = model.device, sampling.max_new_tokens
        self._read_prompts(rows, prompts)
        lengths = [len(prompts[prompt]) for prompt, _ in rows]
        self._column = max(lengths) - 1  # of the cache, the next to be written
        self._position = torch.tensor(lengths, device=device)[:, None] - 1  # (B, 1)
        self._mask: torch.Tensor | None = None
        if not self._shared and min(lengths) < max(lengths):
            self._mask = torch.ones(len(rows), self._column + limit, dtype=torch.long, device=device)  # (B, T)
            self._mask[:, : self._column] = torch.arange(self._column, device=device) < self._position
        self._token = torch.tensor([prompts[prompt][-1] for prompt, _ in rows], device=device)[:, None]  # (B, 1)
        if sampling.temperature:
            uniform = np.stack([np.random.default_rng([sampling.seed, *row]).random(limit) for row in rows])
            self._draws = torch.from_numpy(uniform).to(device)  # (B, limit)
        self._stop = torch.tensor(sampling.ends, device=device)
        self._live = torch.arange(len(rows), device=device)  # (B,) index in `rows` of the rows still in the batch
        self._done = torch.zeros(len(rows), dtype=torch.bool, device=device)
        self._ids = torch.zeros(len(rows), limit, dtype=torch.long, device=device)
        self._logs = torch.zeros(len(rows), limit, device=device) if sampling.logprobs else None

    def _read_prompts(self, rows: list[Row], prompts: Sequence[Sequence[int]]) -> None:
        """Fill the cache with all but the last token of each prompt, shared by its samples if possible."""
        count = Counter(prompt for prompt, _ in rows)
        number = {prompt: i for i, prompt in enumerate(count)}
        distinct = [prompts[prompt] for prompt in count]
        self._cache = _prefill(self._model, distinct)
        self._samples = len(rows) // len(count)
        even = set(count.values()) == {self._samples}
        self._shared: Prompts | None = None
        supported = is_supported(self._model) and is_growable(self._cache)
        if self._samples > 1 and even and min(map(len, distinct)) > 1 and supported:
            self._shared = _share(self._model, self._cache, distinct, len(rows))
        else:
            _repeat(self._cache, torch.tensor([number[prompt] for prompt, _ in rows], device=self._model.device))

    def run(self) -> list[Written]:
        """The tokens of each row."""
        for t in range(self._sampling.max_new_tokens):
            self._step(t)
            running = len(self._done) - int(self._done.sum())
            if not running:
                break
            self._column, self._position = self._column + 1, self._position + 1
            self._drop_finished(running)
        return self._written()

    def _step(self, t: int) -> None:
        """Choose token t of every row."""
        temperature, logs = self._sampling.temperature, self._logs
        extra = {"position_ids": self._position} if self._shared or self._mask is not None else {}
        if self._mask is not None:
            extra["attention_mask"] = self._mask[:, : self._column + 1]
        with attending(self._model, self._shared) if self._shared else nullcontext():
            output = self._model(input_ids=self._token, past_key_values=self._cache, use_cache=True, **extra)
        logits = output.logits[:, -1]  # (B, V)
        needed = temperature or logs is not None
        probabilities = torch.softmax(logits.double() / (temperature or 1.0), -1) if needed else logits
        if temperature:
            self._token = _choose(probabilities, self._draws[self._live, t])
        else:
            self._token = logits.argmax(-1, keepdim=True)
        self._ids[self._live, t] = self._token[:, 0]
        if logs is not None:
            logs[self._live, t] = probabilities.gather(1, self._token)[:, 0].log().float()
        self._done |= torch.isin(self._token[:, 0], self._stop)

    def _drop_finished(self, running: int) -> None:
        """Drop finished rows if few are still running. A shared prompt is dropped with the last of its rows."""
        staying = ~self._done
        if self._shared:
            groups = staying.view(-1, self._samples).any(1)
            staying = groups.repeat_interleave(self._samples)
            running = int(staying.sum())
        if running > _COMPACTION * len(self._done):
            return
        keep = staying.nonzero()[:, 0]
        if self._shared:
            self._shared.keep(groups.nonzero()[:, 0])
        self._cache.batch_select_indices(keep)
        self._live, self._done = self._live[keep], self._done[keep]
        self._token, self._position = self._token[keep], self._position[keep]
        self._mask = None if self._mask is None else self._mask[keep]

    def _written(self) -> list[Written]:
        """The tokens of each row up to its end of sequence. A finished row still generates until it is dropped."""
        ends, ids = set(self._sampling.ends), self._ids.tolist()
        sizes = [next((i + 1 for i, token in enumerate(row) if token in ends), len(row)) for row in ids]
        logs = [None] * len(ids) if self._logs is None else self._logs.tolist()
        return [
            (row[:size], None if values is None else values[:size])
            for row, values, size in zip(ids, logs, sizes, strict=True)
        ]


def _choose(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """(B, V) and (B,) double -> (B, 1) tokens: the inverse of the cumulative distribution at `uniform`."""
    cumulative = probabilities.cumsum(-1)
    target = (uniform * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=probabilities.shape[-1] - 1)


__all__ = ["Completion", "check_prompts", "completions_of", "declare_ends", "end_of_sequence", "ends_of", "generate"]
