"""The one builder of messages and prompts, for SFT, RLVR, evaluation and exports (FORMATS.md 6).

A model with a chat template gets it; a model without one gets the **plain layout**:

    <system>\n<prompt>\n<completion>

with the tokenizer's beginning-of-sequence token before it, where there is one, and its end-of-sequence token after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.compress import compress
from ..core.orders import ORDERS
from ..core.problem import Problem
from ..surfaces import get_surface

Message = dict[str, str]


def system_message(modulus: int, surface: str) -> str:
    """What a model is told before a problem: the modulus, and in `english` what to write."""
    if surface == "terse":
        return f"mod {modulus} ."
    return (
        f"All quantities are integers modulo {modulus}: the result of every operation is reduced to 0..{modulus - 1}. "
        "Reason step by step and end with 'Answer: <value>.'"
    )


def prompt_messages(prompt: str, modulus: int, surface: str) -> list[Message]:
    """The system and user turns."""
    return [
        {"role": "system", "content": system_message(modulus, surface)},
        {"role": "user", "content": prompt},
    ]


def messages(prompt: str, completion: str, modulus: int, surface: str) -> list[Message]:
    """All three turns."""
    return [*prompt_messages(prompt, modulus, surface), {"role": "assistant", "content": completion}]


def prompt_ids(tokenizer: Any, turns: list[Message]) -> list[int]:
    """Token ids of the turns up to where the assistant begins. Raises `ValueError` as `require_known` does."""
    if tokenizer.chat_template:
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
    else:
        text = "".join(f"{turn['content']}\n" for turn in turns)
        bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        ids = bos + tokenizer(text, add_special_tokens=False).input_ids
    require_known(tokenizer, ids)
    return ids


def completion_ids(tokenizer: Any, completion: str) -> list[int]:
    """Token ids of the assistant's turn, the end-of-sequence token last, so that stopping is learnt.

    Raises `ValueError` for a tokenizer without an end-of-sequence token.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end-of-sequence token; set one, or the model never learns to stop")
    return [*tokenizer(completion, add_special_tokens=False).input_ids, tokenizer.eos_token_id]


def require_known(tokenizer: Any, ids: list[int]) -> None:
    """Raises `ValueError` where text became unknown tokens, of which nothing is learnt and nothing is said."""
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        raise ValueError(
            "the tokenizer does not know this text; the bundled models speak --surface terse with a modulus up to 100"
        )


def surface_of(tokenizer: Any) -> str:
    """The surface that a tokenizer is made for: `terse` where it has no token for what `english` writes."""
    ids = tokenizer("Define kites as QB; so QB = 3.", add_special_tokens=False).input_ids
    return "terse" if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids else "english"


def token_budget(tokenizer: Any, problems: Iterable[tuple[Problem, str]], orders: Sequence[str] = ()) -> int:
    """1.25 x the longest explicit gold completion of these (problem, surface), in tokens, + 16."""
    longest = 0
    for problem, surface in problems:
        render = get_surface(surface).render
        for order in orders or ORDERS:
            if ORDERS[order].chains_only and not problem.is_chain:
                continue
            longest = max(longest, len(completion_ids(tokenizer, render(compress(problem, "explicit", order)))))
    return longest * 5 // 4 + 16
