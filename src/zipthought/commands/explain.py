"""``zipthought explain``."""

from __future__ import annotations

from ..core.compress import compress
from ..core.orders import ORDERS
from ..data.sampling import SamplerConfig, sample_batch
from ..surfaces import count_pieces, get_surface, verify
from .console import print_json


def explain(
    config: SamplerConfig,
    format: tuple[str, ...] = ("explicit", "composed:2", "implicit:2", "answer-only"),  # noqa: A002
    order: tuple[str, ...] = tuple(ORDERS),
    surface: str = "english",
    split: str = "train",
    index: int = 0,
    json: bool = False,
) -> int:
    """Show one problem in every format and order.

    Args:
        config: Which problem.
        format: The formats to show: explicit, composed:k, implicit:k, answer-only.
        order: The orders to show (trees have forward only).
        surface: english or terse.
        split: train, validation or test.
        index: Which item of the split.
        json: Print one JSON object on standard output.
    """
    module = get_surface(surface)
    batch = sample_batch(config, split, [index])
    problem, aliases = batch.problem(0), batch.aliases(0)
    rows = []
    for direction in order:
        if direction != "forward" and not problem.is_chain:
            continue
        for fmt in format:
            if fmt == "answer-only" and direction != "forward":
                continue
            text = module.render(compress(problem, fmt, direction), aliases)
            verdict = verify(text, problem, surface)
            rows.append(
                {
                    "format": fmt,
                    "order": direction,
                    "tokens": count_pieces(text),
                    "faithful": verdict.faithful,
                    "granularity": list(verdict.granularity),
                    "text": text,
                }
            )
    prompt = module.render_problem(problem)
    if json:
        print_json({"prompt": prompt, "modulus": problem.modulus, "answer": problem.answer, "traces": rows})
        return 0
    print(f"{prompt}   (modulo {problem.modulus})")
    for row in rows:
        profile = "+".join(map(str, row["granularity"]))
        print(f"\n{row['format']}, {row['order']}: {row['tokens']} tokens, operations per step {profile}")
        print(f"  {row['text']}")
    print("\nTokens are word and punctuation pieces.")
    return 0
