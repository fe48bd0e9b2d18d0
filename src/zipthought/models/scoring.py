"""Surprisal and entropy of the tokens of texts under a causal language model, for the formats that need them
(`core.methods.scored`).

    Scorer(*load("bundled"))([(turns, "kites = 3 . answer 3 .")])

Texts are sorted by length and padded on the right, where causal attention needs no mask. One pass of the model reads a
batch. A batch has a bounded number of logits, so memory does not grow with the number of texts.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.methods.scored import TokenScore
from ..records.chat import Message, prompt_ids, require_known

MAX_LOGITS = 1 << 26
"""Logits of a batch, B x T x V, at most (256 MiB as float32), unless one text alone has more."""
MAX_TOKENS = 1 << 14
"""Tokens of a batch, padding included, at most, unless one text alone has more."""


class Scorer:
    """Scores texts with a model. Equal texts in equal order get equal scores."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._positions = getattr(model.config, "max_position_embeddings", None)

    def __call__(self, texts: Sequence[tuple[list[Message], str]]) -> list[list[TokenScore]]:
        """The tokens of each text, as the assistant's answer to the turns before it.

        Raises `ValueError` for a text with unknown tokens, for one that is longer than the model reads, and for a
        tokenizer that does not say where its tokens stand.
        """
        rows = [self._encode(turns, text) for turns, text in texts]
        scores: list[list[TokenScore]] = [[] for _ in rows]
        training = self._model.training
        self._model.eval()
        try:
            for batch in self._batches([len(ids) for ids, _, _ in rows]):
                for index, found in zip(batch, self._read([rows[index][0] for index in batch]), strict=True):
                    ids, first, spans = rows[index]
                    values = found[first - 1 : len(ids) - 1].tolist()
                    scores[index] = [
                        TokenScore(*span, surprisal, entropy)
                        for span, (surprisal, entropy) in zip(spans, values, strict=True)
                    ]
        finally:
            self._model.train(training)
        return scores

    def _encode(self, turns: list[Message], text: str) -> tuple[list[int], int, list[tuple[int, int]]]:
        """The tokens of the turns and the text, how many are of the turns, and the spans of the others in the text."""
        before = prompt_ids(self._tokenizer, turns)
        if not self._tokenizer.is_fast:
            raise ValueError("formats that need a model need a tokenizer with a tokenizer.json; use another model")
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        require_known(self._tokenizer, text, encoded.input_ids)
        ids = [*before, *encoded.input_ids]
        if self._positions and len(ids) > self._positions:
            raise ValueError(
                f"a prompt with its text has {len(ids)} tokens, but the model reads {self._positions}; use a model "
                f"with more positions, or leave this text out: {text!r:.80}"
            )
        return ids, len(before), encoded.offset_mapping

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The positions of the texts of each batch, texts of similar length together."""
        most = min(MAX_TOKENS, MAX_LOGITS // self._model.config.get_text_config().vocab_size)
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
            if batch and (len(batch) + 1) * lengths[index] > most:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _read(self, rows: Sequence[list[int]]) -> list[torch.Tensor]:
        """For each row, (T - 1, 2): the surprisal and the entropy of each token after the first."""
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        ids = ids.to(self._model.device)
        logits = self._model(input_ids=ids, use_cache=False).logits[:, :-1]
        log_p = torch.log_softmax(logits.float(), dim=-1)  # (B, T - 1, V)
        surprisal = -log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return list(torch.stack([surprisal, entropy], dim=-1).cpu())
