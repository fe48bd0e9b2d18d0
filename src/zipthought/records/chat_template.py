"""What a chat template does with our messages.

A template is a program by the author of a model, and no setting says what it does. So it is tried: `template_of`
renders a probe dialogue and reads from the result how the template treats the system message, where the assistant's
text begins, and which token ends its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Message = dict[str, str]

SWITCHES = {"enable_thinking": False, "date_string": "26 Jul 2024"}
"""Variables that a template receives if it mentions them.

Our completions are plain chains of thought, so thinking is off: Qwen3 then writes an empty thought before the
assistant's text, in training and in generation alike. Llama 3 writes the day, without a variable that of today; it is
fixed, so that a prompt is the same tomorrow."""

_SYSTEM, _USER, _ASSISTANT = "zebra", "walrus", "heron"
"""The texts of the probe: words that no template writes by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """How a tokenizer's chat template writes a prompt and the assistant's turn after it."""

    folds_system: bool
    """Whether the system message goes into the first user turn, because the template refuses or drops it."""
    lead: str
    """The end of every prompt: what follows the text of the last user turn."""
    head: str
    """What the template writes between its generation prompt and the assistant's text, without blanks at its end. It
    belongs to the prompt. Empty for most templates."""
    before: str
    """The blanks between the prompt and the assistant's text. They belong to the completion."""
    after: str
    """What stands between the assistant's text and the end token. Empty for most templates."""
    end: int | None
    """The token that ends the assistant's turn; None if the template writes none. What follows it (a line break in
    ChatML) belongs to no completion."""

    def turns(self, turns: list[Message]) -> list[Message]:
        """The turns as the template takes them."""
        return fold_system(turns) if self.folds_system else turns


def fold_system(turns: list[Message]) -> list[Message]:
    """The turns with a system message at the beginning folded into the user turn after it: the system's text, a blank
    line, the user's text. Other turns stay as they are."""
    if [turn["role"] for turn in turns[:2]] != ["system", "user"]:
        return turns
    system, user, *rest = turns
    return [{**user, "content": f"{system['content']}\n\n{user['content']}"}, *rest]


def template_of(tokenizer: Any) -> ChatTemplate | None:
    """What the chat template of a tokenizer does; None for a tokenizer without one.

    Raises `ValueError` for a template that refuses every dialogue, or that leaves out the assistant's text.
    """
    if not tokenizer.chat_template:
        return None
    return _tried(tokenizer, tokenizer.get_chat_template(), len(tokenizer), str(tokenizer.special_tokens_map))


def render(tokenizer: Any, turns: list[Message], *, prompt: bool) -> str:
    """The text of the turns by the tokenizer's chat template. `prompt`: with the beginning of the assistant's turn.

    Raises `ValueError` for turns that the template refuses.
    """
    from jinja2 import TemplateError

    template = tokenizer.get_chat_template()
    switches = {name: value for name, value in SWITCHES.items() if name in template}
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, chat_template=template, add_generation_prompt=prompt, tokenize=False, **switches
            )
        )
    except TemplateError as error:
        raise ValueError(f"the chat template refuses these messages: {error}") from error


@lru_cache(maxsize=8)
def _tried(tokenizer: Any, template: str, vocabulary: int, special: str) -> ChatTemplate:
    """What the template does. It is tried again after a change of the arguments, all of which are the tokenizer's."""
    turns: list[Message] = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
    folds = not _takes_system(tokenizer, turns)
    if folds:
        turns = fold_system(turns)
    prompt = render(tokenizer, turns, prompt=True)
    whole = render(tokenizer, [*turns, {"role": "assistant", "content": _ASSISTANT}], prompt=False)
    until, found, closing = whole.rpartition(_ASSISTANT)
    if not found:
        raise ValueError("the chat template leaves out the assistant's text; set another one, or none")
    # A prompt that opens a thought need not be the beginning of a dialogue without one. Nothing follows it, then.
    opening = until.removeprefix(prompt) if until.startswith(prompt) else ""
    head = opening.rstrip(" ")
    end = _first_added(tokenizer, closing)
    return ChatTemplate(
        folds_system=folds,
        lead=(prompt + head).rpartition(_USER)[2],
        head=head,
        before=opening[len(head) :],
        after="" if end is None else closing.partition(_content(tokenizer, end))[0],
        end=end,
    )


def _takes_system(tokenizer: Any, turns: list[Message]) -> bool:
    """Whether the template writes the system message. Raises `ValueError` if it refuses the user turn alone, too."""
    try:
        return _SYSTEM in render(tokenizer, turns, prompt=True)
    except ValueError:
        render(tokenizer, turns[1:], prompt=True)
        return False


def _first_added(tokenizer: Any, text: str) -> int | None:
    """The first token of a text that was added to the vocabulary and that the text spells out; None without one."""
    added = tokenizer.added_tokens_decoder
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return next((token for token in ids if token in added and _content(tokenizer, token) in text), None)


def _content(tokenizer: Any, token: int) -> str:
    return str(tokenizer.added_tokens_decoder[token].content)


__all__ = ["SWITCHES", "ChatTemplate", "Message", "fold_system", "render", "template_of"]
