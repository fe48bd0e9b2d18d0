"""Write docs/examples.md: twenty solutions before and after compression, drawn at random from examples/solutions.jsonl.

python examples/pairs.py > docs/examples.md
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from zipthought.solutions import gsm8k
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import Solution, UnreadableError

SEED, COUNT = 0, 20
FORMATS = ("composed:2", "composed:4", "implicit:2")


def page() -> str:
    """The page, in Markdown."""
    read: list[tuple[dict[str, str], Solution]] = []
    for line in (Path(__file__).parent / "solutions.jsonl").read_text().splitlines():
        row = json.loads(line)
        try:
            read.append((row, gsm8k.read(row["question"], row["answer"])))
        except UnreadableError:
            continue
    parts = [
        "# Solutions before and after",
        f"This page shows {COUNT} solutions of `examples/solutions.jsonl` that verify, drawn with seed {SEED} by "
        "`python examples/pairs.py`.\nNested expressions are put in brackets by precedence. A step stays if its result "
        "is used more than once, if the\nsentence that uses it cannot express it, if another sentence that is left "
        "says it, or if the question or another\nstep has the same value.",
    ]
    for row, solution in sorted(random.Random(SEED).sample(read, COUNT), key=lambda pair: pair[0]["id"]):
        parts.append(f"## {row['id']}\n\n{row['question']}")
        parts.append(f"Source:\n\n```\n{row['answer']}\n```")
        parts += [f"`{f}`:\n\n```\n{compress_solution(solution, f)}\n```" for f in FORMATS]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
