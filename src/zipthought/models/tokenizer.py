"""A word-level tokenizer for the `terse` surface: one symbol, one token.

It is a plain `tokenizers` file, so `AutoTokenizer.from_pretrained` loads it. Text is split at whitespace. An unknown
word becomes ``<unk>``.
"""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ..surfaces import terse
from ..tasks.names import nouns

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
MAX_NUMBER = 100
"""The numbers 0..MAX_NUMBER-1 are tokens. This limits the modulus of a `terse` model."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the bundled models: special tokens, symbols, numbers, nouns."""
    words = [PAD, BOS, EOS, UNK, *terse.SYMBOLS, *map(str, range(MAX_NUMBER)), *nouns()]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=BOS, eos_token=EOS, unk_token=UNK
    )
