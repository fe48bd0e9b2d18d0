"""What the model is asked for: the built-in prompts, which are the text files beside this module, or a user's file.

`draft` follows *Chain of Draft* (Xu et al., 2025, arXiv 2502.18600), and `symbols` the chunked symbolism of
*Sketch-of-Thought* (Aytes et al., 2025, arXiv 2503.05179), both as rewrites of a given solution.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
BUILT_IN = tuple(sorted(path.stem for path in _HERE.glob("*.txt")))
"""The names of the built-in prompts."""
PLACEHOLDERS = ("question", "solution", "final")
"""What a prompt may have in braces: the question, its solution, and how the solution states its final answer."""
_IN_BRACES = re.compile(r"(?<![\w\\}])\{([a-z_]+)\}")


def prompt_file(name: str) -> Path:
    """The file of a prompt: of a built-in one, or else the file with this path."""
    return _HERE / f"{name}.txt" if name in BUILT_IN else Path(name)


@cache
def read_prompt(name: str) -> str:
    """The text of a prompt.

    Raises `ValueError` for a name that is neither built in nor a file, and for a text that is not UTF-8, lacks
    ``{solution}`` or has another placeholder than `PLACEHOLDERS`.
    """
    path = prompt_file(name)
    if not path.is_file():
        raise ValueError(f"rewrite has no prompt {name!r}; use {', '.join(BUILT_IN)}, or the path of a text file")
    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"the prompt {path} is not UTF-8 text ({error})") from error
    found = _IN_BRACES.findall(text)
    if unknown := [name for name in found if name not in PLACEHOLDERS]:
        raise ValueError(f"the prompt {path} has {{{unknown[0]}}}; use {{question}}, {{solution}} and {{final}}")
    if "solution" not in found:
        raise ValueError(f"the prompt {path} lacks {{solution}}, where the solution of each record goes")
    return text


def fill(prompt: str, question: str, solution: str, final: str) -> str:
    """The prompt with its placeholders replaced. Braces in these texts stay as they are."""
    texts = {"question": question.strip(), "solution": solution.strip(), "final": final.strip()}
    return _IN_BRACES.sub(lambda match: texts[match[1]], prompt)
