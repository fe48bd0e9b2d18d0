"""Tokenizers that behave as those of well-known models, small enough to build at once: the same special tokens, the
same settings, and chat templates of our own words with the same behaviour. Nothing here is a file of those models.

`FAMILIES` is the table of `test_compatibility.py`. Two kinds of vocabulary suffice: bytes (GPT-2, Llama 3, Qwen), which
know every text, and pieces with a blank before every text (Mistral), which write unknown characters as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

_CHATML = r"""
{%- if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}
{%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

_THINKING = r"""
{%- for m in messages %}
  {%- if m['role'] == 'assistant' and loop.last %}
    {{- '<|im_start|>assistant\n<think>\n' + (m['thought'] or '') + '\n</think>\n\n' + m['content'] + '<|im_end|>\n' }}
  {%- else %}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\n' }}
  {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{% endif %}
{%- endif %}"""

_HEADERS = r"""
{{- bos_token }}
{%- if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}
{%- for m in messages %}
  {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' }}
  {%- if m['role'] == 'system' %}{{- 'Today Date: ' + date_string + '\n\n' }}{% endif %}
  {{- m['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

_TURNS = r"""
{%- for m in rest %}
  {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('Roles must alternate') }}{% endif %}
  {{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}
  {{- (first if loop.first else '') + m['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{% endif %}"""

_GEMMA2 = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set rest, first = messages, '' %}" + _TURNS
)
_GEMMA3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% else %}{% set rest, first = messages, '' %}{% endif %}"
    + _TURNS
)
_INST = r"""
{{- bos_token }}
{%- for m in messages %}
  {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('Roles must alternate') }}{% endif %}
  {%- if m['role'] == 'user' %}{{- '[INST] ' + m['content'] + ' [/INST]' }}
  {%- else %}{{- ' ' + m['content'] + eos_token }}{% endif %}
{%- endfor %}"""

_PHI = r"""
{%- for m in messages %}{{- '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{% else %}{{- eos_token }}{% endif %}"""

DROPS_SYSTEM = r"""
{%- for m in messages if m['role'] != 'system' %}{{- m['role'] + ': ' + m['content'] + eos_token + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- 'assistant: ' }}{% endif %}"""
"""Leaves out system messages without a word, and writes a blank before the assistant's text."""

NO_GENERATION_PROMPT = r"""
{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"""
"""Writes the beginning of the assistant's turn with its text only."""

_END, _IM = "<|endoftext|>", ("<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, kw_only=True)
class Family:
    """The tokenizer of a family of models, and what the project must make of it."""

    special: tuple[str, ...]
    """Special tokens."""
    eos: str | None
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None
    template: str | None = None
    ends_with: str
    """The token that ends a turn."""
    bos_in_prompt: int = 0
    """How often a prompt has the beginning of a sequence."""
    adds_bos: bool = False
    """Whether the tokenizer puts it before every text by itself."""
    folds: bool = False
    """Whether the system message must go into the user turn."""
    pieces: bool = False
    """Pieces with a blank before every text; otherwise bytes."""
    added: tuple[str, ...] = ()
    """Added tokens that are not special."""

    def build(self) -> PreTrainedTokenizerFast:
        inner = _pieces() if self.pieces else _bytes()
        inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in self.special])
        inner.add_tokens([AddedToken(token, normalized=False) for token in self.added])
        if self.adds_bos:
            pair = (self.bos, inner.token_to_id(self.bos))
            inner.post_processor = processors.TemplateProcessing(f"{self.bos} $A", None, [pair])
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner, bos_token=self.bos, eos_token=self.eos, pad_token=self.pad, unk_token=self.unk
        )
        tokenizer.chat_template = self.template
        return tokenizer


def _bytes() -> Tokenizer:
    """A byte-level BPE without merges."""
    inner = Tokenizer(
        models.BPE({symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _pieces() -> Tokenizer:
    """Characters as SentencePiece writes them, with a blank before every text and bytes for other characters."""
    symbols = ["<unk>", *(f"<0x{value:02X}>" for value in range(256)), "▁", *map(chr, range(33, 127))]
    inner = Tokenizer(
        models.BPE({symbol: i for i, symbol in enumerate(symbols)}, [], unk_token="<unk>", byte_fallback=True)
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


_LLAMA = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
_GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
FAMILIES = {
    "gpt2": Family(special=(_END,), eos=_END, bos=_END, unk=_END, ends_with=_END, bos_in_prompt=1),
    "pythia": Family(special=(_END, "<|padding|>"), eos=_END, bos=_END, unk=_END, ends_with=_END, bos_in_prompt=1),
    "smollm2": Family(special=(_END, *_IM), eos=_END, bos=_END, unk=_END, ends_with=_END, bos_in_prompt=1),
    "smollm2-instruct": Family(  # The beginning of a sequence is that of each of the three turns.
        special=(_END, *_IM), bos=_IM[0], eos=_IM[1], pad=_IM[1], unk=_END, template=_CHATML, ends_with=_IM[1],
        bos_in_prompt=3,
    ),
    "qwen2.5": Family(special=(_END, *_IM), eos=_END, pad=_END, template=_CHATML, ends_with=_IM[1]),
    "qwen2.5-instruct": Family(special=(_END, *_IM), eos=_IM[1], pad=_END, template=_CHATML, ends_with=_IM[1]),
    "qwen3": Family(
        special=(_END, *_IM), added=("<think>", "</think>"), eos=_IM[1], pad=_END, template=_THINKING, ends_with=_IM[1]
    ),
    "llama3-instruct": Family(
        special=_LLAMA, bos=_LLAMA[0], eos="<|eot_id|>", template=_HEADERS, ends_with="<|eot_id|>", adds_bos=True,
        bos_in_prompt=1,
    ),
    "llama3-old-files": Family(
        special=_LLAMA, bos=_LLAMA[0], eos="<|end_of_text|>", template=_HEADERS, ends_with="<|eot_id|>", adds_bos=True,
        bos_in_prompt=1,
    ),
    "gemma2": Family(
        special=_GEMMA, bos="<bos>", eos="<eos>", pad="<pad>", unk="<unk>", template=_GEMMA2, ends_with="<end_of_turn>",
        adds_bos=True, bos_in_prompt=1, folds=True,
    ),
    "gemma3": Family(
        special=_GEMMA, bos="<bos>", eos="<eos>", pad="<pad>", unk="<unk>", template=_GEMMA3, ends_with="<end_of_turn>",
        adds_bos=True, bos_in_prompt=1,
    ),
    "mistral": Family(
        special=("<unk>", "<s>", "</s>"), bos="<s>", eos="</s>", unk="<unk>", template=_INST, ends_with="</s>",
        adds_bos=True, bos_in_prompt=1, folds=True, pieces=True,
    ),
    "mistral-bytes": Family(
        special=("<unk>", "<s>", "</s>"), bos="<s>", eos="</s>", unk="<unk>", template=_INST, ends_with="</s>",
        adds_bos=True, bos_in_prompt=1, folds=True,
    ),
    "mistral-base": Family(
        special=("<unk>", "<s>", "</s>"), bos="<s>", eos="</s>", unk="<unk>", ends_with="</s>", adds_bos=True,
        bos_in_prompt=1, pieces=True,
    ),
    "phi": Family(
        special=("<s>", _END, "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), bos="<s>", eos=_END, pad=_END,
        template=_PHI, ends_with="<|end|>",
    ),
    "drops-system": Family(special=("<s>", "</s>"), bos="<s>", eos="</s>", template=DROPS_SYSTEM, ends_with="</s>",
        folds=True),
    "no-generation-prompt": Family(
        special=(_END, *_IM), eos=_END, template=NO_GENERATION_PROMPT, ends_with=_IM[1]
    ),
    "no-end": Family(special=("</s>",), eos="</s>", template="{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
        ends_with="</s>"),
}  # fmt: skip
"""Name -> family. The last three are templates that people wrote for models without one."""
