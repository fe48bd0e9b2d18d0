"""How well a base knows each primitive (`train.primitives`): the share of completions that are right in every token.

Completions are greedy. All tokens of a batch are predicted in one pass, because a completion whose every token is the
most probable one after the right tokens before it is the greedy completion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..records.chat import completion_ids, prompt_ids, prompt_messages
from ..train.batches import Example, collate
from ..train.primitives import Primitives, Text

BATCH = 64
HELD_OUT_SEED = 1 << 40
"""A seed that no pretraining uses."""


def primitive_accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    primitives: Primitives,
    names: Sequence[str],
    count: int = 500,
) -> dict[str, float]:
    """Primitive -> the share of `count` texts that the model completes exactly."""
    accuracy = {}
    for name in names:
        rng = np.random.default_rng(HELD_OUT_SEED)
        texts = [primitives.draw(name, rng) for _ in range(count)]
        accuracy[name] = exact(model, tokenizer, texts, primitives.modulus)
    return accuracy


def exact(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], modulus: int) -> float:
    """The share of texts whose completion is the greedy one."""
    examples = []
    for prompt, completion in texts:
        before = prompt_ids(tokenizer, prompt_messages(prompt, modulus, "terse"))
        examples.append(Example(before + completion_ids(tokenizer, completion), len(before)))
    examples.sort(key=lambda e: len(e.ids))
    right = 0
    with torch.no_grad():
        for low in range(0, len(examples), BATCH):
            batch = collate(examples[low : low + BATCH], tokenizer.pad_token_id or 0)
            hidden = model.get_decoder()(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
            wanted = batch.targets[:, 1:]
            wrong = torch.zeros_like(wanted)
            wrong[wanted] = model.get_output_embeddings()(hidden[wanted]).argmax(-1) != batch.ids[:, 1:][wanted]
            right += int((~wrong.any(dim=1)).sum())
    return right / len(examples)
