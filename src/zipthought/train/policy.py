"""Log-probabilities of completions under a model, with one reading of a prompt for all its completions.

Shapes: B rows (completions), T tokens, N tokens of all rows, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from ..models.generation import is_growable

Row = tuple[int, list[int]]
"""The index of a prompt, and the tokens of one of its completions."""


def token_logprobs(
    model: PreTrainedModel, prompts: Sequence[list[int]], rows: Sequence[Row], temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (N,) of the completions' tokens, row after row, and the entropy (N,) of their distributions.

    The entropy carries no gradient. A model whose cache cannot hold padding (sliding windows) reads prompt and
    completion of each row together instead.
    """
    device = model.device
    wanted = torch.tensor([token for _, ids in rows for token in ids], device=device)  # (N,)
    shared = is_growable(DynamicCache(config=model.config)) and max(map(len, prompts)) > 1
    hidden = (_hidden_after_shared_prompts if shared else _hidden_of_whole_rows)(model, prompts, rows)  # (N, W)
    logits = model.get_output_embeddings()(hidden).float() / temperature  # (N, V)
    logs = logits.log_softmax(-1)
    with torch.no_grad():
        entropy = -(logs.exp() * logs).sum(-1)
    return logs.gather(1, wanted[:, None])[:, 0], entropy


def _hidden_after_shared_prompts(
    model: PreTrainedModel, prompts: Sequence[list[int]], rows: Sequence[Row]
) -> torch.Tensor:
    """(N, W) hidden states that predict the completions' tokens. Rows attend to the cached keys and values of their
    prompt."""
    cache = DynamicCache(config=model.config)
    device, decoder = model.device, model.get_decoder()
    longest = max(len(ids) for _, ids in rows)
    width = max(len(prompt) for prompt in prompts) - 1
    inside = torch.tensor([[t < len(ids) for t in range(longest)] for _, ids in rows], device=device)  # (B, T)
    lengths = [len(prompt) - 1 for prompt in prompts]
    decoder(input_ids=_padded([p[:-1] for p in prompts], device), past_key_values=cache, use_cache=True)
    indices = torch.tensor([index for index, _ in rows], device=device)
    cache.batch_select_indices(indices)
    start = torch.tensor(lengths, device=device)[indices][:, None]  # (B, 1)
    mask = torch.ones(len(rows), width + longest, dtype=torch.long, device=device)
    mask[:, :width] = torch.arange(width, device=device) < start
    hidden = decoder(
        input_ids=_padded([[prompts[index][-1], *ids[:-1]] for index, ids in rows], device),
        past_key_values=cache,
        use_cache=True,
        attention_mask=mask,
        position_ids=start + torch.arange(longest, device=device),
    ).last_hidden_state  # (B, T, W)
    return hidden[inside]


def _hidden_of_whole_rows(model: PreTrainedModel, prompts: Sequence[list[int]], rows: Sequence[Row]) -> torch.Tensor:
    """(N, W) hidden states that predict the completions' tokens. Each row is read with its prompt."""
    whole = [[*prompts[index], *ids[:-1]] for index, ids in rows]
    states = model.get_decoder()(input_ids=_padded(whole, model.device), use_cache=False).last_hidden_state
    return torch.cat(
        [
            state[len(ids) - len(completion) : len(ids)]
            for state, ids, (_, completion) in zip(states, whole, rows, strict=True)
        ]
    )


def _padded(sequences: list[list[int]], device: torch.device) -> torch.Tensor:
    """(B, T) tokens, padded on the right by 0, where causal attention does not look."""
    ids = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    return torch.from_numpy(ids).to(device)


__all__ = ["Row", "token_logprobs"]
