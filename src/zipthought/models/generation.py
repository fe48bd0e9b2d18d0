"""Completions of a causal language model: greedy or sampled, batched, with a key-value cache. Made for tiny models too.

Prompts are sorted by length and padded on the right, where causal attention needs no mask; a prompt is read once for
all its samples. Then every row is fed one token a step. Where several samples share a prompt they go on sharing its
keys and values (`shared_prompts`); elsewhere a row has a copy of them, all rows write into the same column of the
cache, and the gap between a short prompt and that column is masked. The cache grows in blocks, in place
(`DynamicCache` copies itself at every token), and rows that have ended leave the batch, shared prompts with them.

What a row draws depends on (seed, place of the prompt, place of the sample, place of the token) alone, so that results
change with the batch size only as far as float arithmetic does.

Shapes: B rows, T columns of the cache, V vocabulary, H heads, D head width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from .shared_prompts import Prompts, attending, is_supported

_GROWTH = 64
"""Columns by which a full cache grows."""
_COMPACTION = 0.8
"""Rows that have ended leave once no more than this share of the batch is live: leaving copies the cache."""


class Completion(NamedTuple):
    """What a model wrote after a prompt."""

    ids: list[int]
    """Tokens, without the end of sequence."""
    text: str
    """The tokens as text, without special tokens."""
    truncated: bool
    """Whether `max_new_tokens` ran out before the end of sequence."""
    logprobs: list[float] | None = None
    """Natural logarithm of the probability of each token and, unless truncated, of the end of sequence after them,
    under the distribution that was drawn from (greedy: the model's own). None where they were not asked for."""
    end: int | None = None
    """The end-of-sequence token that came; None where truncated."""

    @property
    def n_tokens(self) -> int:
        """Tokens that the model produced, the end of sequence included."""
        return len(self.ids) + (not self.truncated)


class _GrowingLayer(DynamicLayer):
    """A layer's keys and values, (B, H, T, D), as views of buffers with room for the next columns."""

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
    """Whether every layer attends to all that came before. Sliding windows count columns, and allow no gap."""
    return bool(cache.layers) and all(type(layer) in (DynamicLayer, _GrowingLayer) for layer in cache.layers)


def end_of_sequence(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a completion: the tokenizer's and those of the model's generation configuration.

    Raises `ValueError` where there is none.
    """
    generation = getattr(model, "generation_config", None)
    also = getattr(generation, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(also if isinstance(also, list) else [also])} - {None}
    if not ends:
        raise ValueError("neither tokenizer nor model has an end-of-sequence token; set one, or nothing ever stops")
    return sorted(ends)


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
    """`samples` completions of each prompt (token ids), in the order given.

    `temperature` 0 is greedy. `batch_size` is the most rows (completions) at once. `on_progress` is told the
    completions finished so far and all that there will be. Raises `ValueError` for arguments out of range, an empty
    prompt, and prompts that with `max_new_tokens` exceed the model's positions.
    """
    if max_new_tokens < 1 or samples < 1 or batch_size < 1:
        raise ValueError(
            "max_new_tokens, samples and batch_size must be at least 1, "
            f"got {max_new_tokens}, {samples} and {batch_size}"
        )
    if temperature < 0 or seed < 0:
        raise ValueError(f"temperature and seed must not be negative, got {temperature} and {seed}")
    longest = max((len(prompt) for prompt in prompts), default=0)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and longest + max_new_tokens - 1 > positions:
        raise ValueError(
            f"a prompt of {longest} tokens and max_new_tokens={max_new_tokens} exceed the model's {positions} "
            "positions; lower max_new_tokens or shorten the prompts"
        )
    if not all(prompts):
        raise ValueError("a prompt has no tokens; begin it with a beginning-of-sequence token at least")

    ends = end_of_sequence(model, tokenizer)
    rows = [(place, sample) for place in range(len(prompts)) for sample in range(samples)]
    rows.sort(key=lambda row: (len(prompts[row[0]]), row))
    written: dict[tuple[int, int], tuple[list[int], list[float] | None]] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for chunk in _chunks(model, rows, prompts, batch_size):
                ids, chosen = _decode(model, chunk, prompts, max_new_tokens, temperature, seed, ends, logprobs)
                for i, row in enumerate(chunk):
                    written[row] = (ids[i], chosen[i] if chosen else None)
                if on_progress:
                    on_progress(len(written), len(rows))
    finally:
        model.train(was_training)

    stops = set(ends)
    order = sorted(rows)
    bodies = [ids[:-1] if ids[-1] in stops else ids for ids in (written[row][0] for row in order)]
    texts = _decode_texts(tokenizer, bodies)
    flat = [
        Completion(
            body, text, (end := written[row][0][-1]) not in stops, written[row][1], end if end in stops else None
        )
        for row, body, text in zip(order, bodies, texts, strict=True)
    ]
    return [flat[i : i + samples] for i in range(0, len(flat), samples)]


def _decode_texts(tokenizer: PreTrainedTokenizerBase, bodies: list[list[int]]) -> list[str]:
    """Texts of many token lists; spaces are left as they are, since surfaces are exact about them."""
    if not bodies:
        return []
    return list(tokenizer.batch_decode(bodies, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _chunks(
    model: PreTrainedModel, rows: list[tuple[int, int]], prompts: Sequence[Sequence[int]], batch_size: int
) -> Iterable[list[tuple[int, int]]]:
    """`rows` cut into batches, between prompts where a batch has room for all samples of one; where the model's cache
    allows no gap, a batch has prompts of one length."""
    one_length = not is_growable(DynamicCache(config=model.config))
    samples = len(rows) // len(prompts) if prompts else 1
    batch_size -= batch_size % samples if samples <= batch_size else 0
    chunk: list[tuple[int, int]] = []
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
    # Only the cache is wanted; the decoder alone leaves the output layer out.
    model.get_decoder()(input_ids=torch.from_numpy(ids).to(model.device), past_key_values=cache, use_cache=True)
    return cache


def _share(model: PreTrainedModel, cache: DynamicCache, prompts: list[Sequence[int]], rows: int) -> Prompts:
    """The prompts' part of a cache, which is left with the (empty) part of `rows` completions."""
    layers = [(layer.keys, layer.values) for layer in cache.layers if isinstance(layer, DynamicLayer)]
    cache.layers = [
        _GrowingLayer(*(x.new_empty(rows, x.shape[1], 0, x.shape[3]) for x in layer))  # type: ignore[union-attr, misc]
        for layer in layers
    ]
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    return Prompts(layers, lengths)  # type: ignore[arg-type]


def _repeat(cache: DynamicCache, repeats: torch.Tensor) -> None:
    """Gives every completion its copy of its prompt's part: the rows `repeats` (B,) of the cache."""
    if is_growable(cache):
        full = [layer for layer in cache.layers if isinstance(layer, DynamicLayer) and layer.is_initialized]
        if full:
            cache.layers = [_GrowingLayer(layer.keys[repeats], layer.values[repeats]) for layer in full]  # type: ignore[index]
    else:
        cache.batch_select_indices(repeats)


def _decode(
    model: PreTrainedModel,
    rows: list[tuple[int, int]],
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    ends: list[int],
    logprobs: bool,
) -> tuple[list[list[int]], list[list[float]] | None]:
    """Tokens of each row, the end of sequence included, and their log-probabilities where asked for."""
    device = model.device
    places = list(dict.fromkeys(place for place, _ in rows))
    number = {place: i for i, place in enumerate(places)}
    asked = [prompts[p] for p in places]
    cache = _prefill(model, asked)
    lengths = [len(prompts[place]) for place, _ in rows]
    samples = len(rows) // len(places)
    even = set(Counter(place for place, _ in rows).values()) == {samples}
    shared = None
    if samples > 1 and even and min(lengths) > 1 and is_supported(model) and is_growable(cache):
        shared = _share(model, cache, asked, len(rows))
    else:
        _repeat(cache, torch.tensor([number[p] for p, _ in rows], device=device))
    column = max(lengths) - 1  # of the cache, the next to be written
    position = torch.tensor(lengths, device=device)[:, None] - 1  # (B, 1)
    mask = None
    if not shared and min(lengths) < max(lengths):
        mask = torch.ones(len(rows), column + max_new_tokens, dtype=torch.long, device=device)  # (B, T)
        mask[:, :column] = torch.arange(column, device=device) < position
    token = torch.tensor([prompts[place][-1] for place, _ in rows], device=device)[:, None]  # (B, 1)
    if temperature:
        uniform = np.stack([np.random.default_rng([seed, *row]).random(max_new_tokens) for row in rows])
        draws = torch.from_numpy(uniform).to(device)  # (B, max_new_tokens)
    stop = torch.tensor(ends, device=device)
    live = torch.arange(len(rows), device=device)  # (B,) place in `rows` of the rows still in the batch
    done = torch.zeros(len(rows), dtype=torch.bool, device=device)
    ids = torch.zeros(len(rows), max_new_tokens, dtype=torch.long, device=device)
    chosen = torch.zeros(len(rows), max_new_tokens, device=device) if logprobs else None

    for t in range(max_new_tokens):
        told = {"position_ids": position} if shared or mask is not None else {}
        if mask is not None:
            told["attention_mask"] = mask[:, : column + 1]
        with attending(model, shared) if shared else nullcontext():
            logits = model(input_ids=token, past_key_values=cache, use_cache=True, **told).logits[:, -1]  # (B, V)
        probabilities = torch.softmax(logits.double() / (temperature or 1.0), -1) if temperature or logprobs else logits
        token = _choose(probabilities, draws[live, t]) if temperature else logits.argmax(-1, keepdim=True)
        ids[live, t] = token[:, 0]
        if chosen is not None:
            chosen[live, t] = probabilities.gather(1, token)[:, 0].log().float()
        done |= torch.isin(token[:, 0], stop)
        remaining = len(done) - int(done.sum())
        if not remaining:
            break
        column, position = column + 1, position + 1
        staying = ~done
        if shared:  # A prompt leaves with the last of its completions.
            groups = staying.view(-1, samples).any(1)
            staying = groups.repeat_interleave(samples)
            remaining = int(staying.sum())
        if remaining <= _COMPACTION * len(done):
            keep = staying.nonzero()[:, 0]
            if shared:
                shared.keep(groups.nonzero()[:, 0])
            cache.batch_select_indices(keep)
            live, done, token, position = live[keep], done[keep], token[keep], position[keep]
            mask = None if mask is None else mask[keep]

    stops = set(ends)
    # A row that ended goes on until it leaves the batch: what comes after its end of sequence is dropped here.
    sizes = [next((i + 1 for i, x in enumerate(row) if x in stops), max_new_tokens) for row in ids.tolist()]
    kept = [row[:size] for row, size in zip(ids.tolist(), sizes, strict=True)]
    if chosen is None:
        return kept, None
    return kept, [row[:size] for row, size in zip(chosen.tolist(), sizes, strict=True)]


def _choose(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """(B, V), (B,) double -> (B, 1): the inverse of the cumulative distribution at `uniform`."""
    cumulative = probabilities.cumsum(-1)
    target = (uniform * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=probabilities.shape[-1] - 1)


__all__ = ["Completion", "end_of_sequence", "generate"]
