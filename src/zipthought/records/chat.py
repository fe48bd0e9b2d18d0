"""The one builder of messages and prompts, for SFT, RLVR, evaluation and exports.

A model with a chat template gets it. A model without one gets the **plain layout**:

    <system>\n<prompt>\n<completion>

with the tokenizer's beginning-of-sequence token before it, where there is one, and its end-of-sequence token after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.compress import compress
from ..core.orders import ORDERS
from ..core.problem import Problem
from ..surfaces import SURFACES, get_surface

Message = dict[str, str]
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


def prompt_ids(tokenizer: Any, turns: list[Message]) -> list[int]:
    """Token ids of the turns, up to where the assistant's begins. Raises `ValueError` as `require_known` does, and for
    turns that the chat template refuses."""
    if tokenizer.chat_template:
        from jinja2 import TemplateError

        try:
            ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
        except TemplateError as error:
            raise ValueError(f"the chat template refuses these messages: {error}") from error
    else:
        text = "".join(f"{turn['content']}\n" for turn in turns)
        bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        ids = bos + tokenizer(text, add_special_tokens=False).input_ids
    require_known(tokenizer, ids)
    return ids


def completion_ids(tokenizer: Any, completion: str) -> list[int]:
    """Token ids of the assistant's turn, with the end-of-sequence token last, so that a model learns to stop.

    Raises `ValueError` for a tokenizer without an end-of-sequence token.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end-of-sequence token; set one, or the model never learns to stop")
    return [*tokenizer(completion, add_special_tokens=False).input_ids, tokenizer.eos_token_id]


def require_known(tokenizer: Any, ids: list[int]) -> None:
    """Raises `ValueError` where text became unknown tokens: a model can learn nothing from them."""
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        raise ValueError(
            "the tokenizer does not know this text; the bundled models speak --surface terse with a modulus up to 100"
        )


def surface_of(tokenizer: Any) -> str:
    """The first surface that a tokenizer can write without unknown tokens; `english` where there is none."""
    for name, surface in SURFACES.items():
        ids = tokenizer(surface.VOCABULARY_SAMPLE, add_special_tokens=False).input_ids
        if tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids:
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
