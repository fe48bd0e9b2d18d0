"""The one builder of messages and prompts, for SFT, RLVR, evaluation and exports.

A model with a chat template gets it, as `chat_template` says. A model without one gets the **plain layout**:

    <system>\n<prompt>\n<completion>

with the tokenizer's beginning-of-sequence token before it, where there is one, and its end-of-sequence token after it.
A template writes the beginning-of-sequence token itself, so nothing adds another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.compress import compress
from ..core.orders import ORDERS
from ..core.problem import Problem
from ..surfaces import SURFACES, get_surface
from .chat_template import ChatTemplate, Message, render, template_of

_PLAIN = ChatTemplate(folds_system=False, lead="\n", head="", before="", after="", end=None)
"""The plain layout."""
USUAL_ORDERS = ("forward", "backward", "hierarchical")


def prompt_messages(prompt: str, modulus: int, surface: str) -> list[Message]:
    """The system and user turns. Raises `ValueError` for an unknown surface."""
    return [
        {"role": "system", "content": get_surface(surface).system_message(modulus)},
        {"role": "user", "content": prompt},
    ]


def messages(prompt: str, completion: str, modulus: int, surface: str) -> list[Message]:
    """The system, user and assistant turns."""
    return [*prompt_messages(prompt, modulus, surface), {"role": "assistant", "content": completion}]


def prompt_text(tokenizer: Any, turns: list[Message]) -> str:
    """The text of the turns, up to where the assistant's text begins. The plain layout's has no beginning-of-sequence
    token. Raises `ValueError` for turns that the chat template refuses."""
    template = template_of(tokenizer)
    if template is None:
        return "".join(f"{turn['content']}\n" for turn in turns)
    return render(tokenizer, template.turns(turns), prompt=True) + template.head


def prompt_ids(tokenizer: Any, turns: list[Message]) -> list[int]:
    """Token ids of `prompt_text`, after the beginning-of-sequence token if there is one. Raises `ValueError` as
    `prompt_text` and `require_known` do."""
    text = prompt_text(tokenizer, turns)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    require_known(tokenizer, text, ids)
    plain = not tokenizer.chat_template and tokenizer.bos_token_id is not None
    return [tokenizer.bos_token_id, *ids] if plain else ids


def completion_ids(tokenizer: Any, completion: str) -> list[int]:
    """Token ids of the assistant's turn, with `end_of_turn` last, so that a model learns to stop.

    They are those that follow the end of a prompt, which matters for tokenizers that begin every text with a blank.
    Raises `ValueError` if no token ends a turn.
    """
    end = end_of_turn(tokenizer)
    if end is None:
        raise ValueError("the tokenizer has no end-of-sequence token; set one, or the model never learns to stop")
    template = template_of(tokenizer) or _PLAIN
    text = f"{template.before}{completion}{template.after}"
    lead = tokenizer(template.lead, add_special_tokens=False).input_ids
    ids = tokenizer(template.lead + text, add_special_tokens=False).input_ids
    if ids[: len(lead)] == lead:
        ids = ids[len(lead) :]
    else:  # A token spans the end of the prompt and the beginning of the completion.
        ids = tokenizer(text, add_special_tokens=False).input_ids
    return [*ids, end]


def completion_text(tokenizer: Any, text: str) -> str:
    """A generated text without what the chat template writes around the assistant's text."""
    template = template_of(tokenizer) or _PLAIN
    return text.removeprefix(template.before).removesuffix(template.after)


def end_of_turn(tokenizer: Any) -> int | None:
    """The token that ends the assistant's turn: the one that the chat template writes after its text, else the
    end-of-sequence token; None without either. They may differ: Gemma has `<end_of_turn>` and `<eos>`."""
    end = (template_of(tokenizer) or _PLAIN).end
    return tokenizer.eos_token_id if end is None else end


def folds_system(tokenizer: Any) -> bool:
    """Whether prompts have the system message in the first user turn, because the chat template has no system role."""
    return (template_of(tokenizer) or _PLAIN).folds_system


def require_known(tokenizer: Any, text: str, ids: Sequence[int]) -> None:
    """Raises `ValueError` where the text became unknown tokens: a model can learn nothing from them."""
    if not _is_known(tokenizer, text, ids):
        raise ValueError(
            "the tokenizer does not know this text; the bundled models speak --surface terse with a modulus up to 100"
        )


def _is_known(tokenizer: Any, text: str, ids: Sequence[int]) -> bool:
    """Whether these tokens of a text are known. The unknown token itself may stand in the text: that of GPT-2 is its
    end of sequence too, and a template may write it."""
    unknown = tokenizer.unk_token_id
    return unknown is None or ids.count(unknown) <= text.count(tokenizer.unk_token)


def surface_of(tokenizer: Any) -> str:
    """The first surface that a tokenizer can write without unknown tokens; `english` where there is none."""
    for name, surface in SURFACES.items():
        sample = surface.VOCABULARY_SAMPLE
        if _is_known(tokenizer, sample, tokenizer(sample, add_special_tokens=False).input_ids):
            return name
    return "english"


def token_budget(tokenizer: Any, problems: Iterable[tuple[Problem, str]], orders: Sequence[str] = ()) -> int:
    """The token limit of a completion: 1.25 x the longest explicit gold completion of these (problem, surface) in
    tokens, + 16. `orders` are those in which gold completions are written. Where none is named, and for a problem that
    has none of them, these are `USUAL_ORDERS`, as far as the problem has them: an order that a plugin adds must not
    change the limits of others."""
    longest = 0
    for problem, surface in problems:
        render = get_surface(surface).render
        named, usual = (
            [name for name in some if problem.is_chain or not ORDERS[name].chains_only]
            for some in (orders, USUAL_ORDERS)
        )
        for name in named or usual:
            longest = max(longest, len(completion_ids(tokenizer, render(compress(problem, "explicit", name)))))
    return longest * 5 // 4 + 16
