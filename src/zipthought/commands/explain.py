"""``zipthought explain``."""

from __future__ import annotations

from typing import Any

from ..core.compress import compress
from ..core.orders import ORDERS
from ..surfaces import count_pieces, get_surface, verify
from ..tasks.sampling import SamplerConfig, sample_batch
from .console import echo, print_json


def explain(
    config: SamplerConfig,
    format: tuple[str, ...] = ("explicit", "composed:2", "implicit:2", "answer-only"),  # noqa: A002
    order: tuple[str, ...] = (),
    surface: str = "english",
    split: str = "train",
    index: int = 0,
    json: bool = False,
) -> int:
    """Show one problem in every format and order.

    Args:
        config: The problem to sample.
        format: The formats to show: explicit, composed:k, implicit:k, answer-only.
        order: The orders to show; by default all that the problem allows.
        surface: english or terse.
        split: train, validation or test.
        index: The index of the problem in its split.
        json: Print one JSON object on standard output.
    """
    module = get_surface(surface)
    batch = sample_batch(config, split, [index])
    problem, aliases = batch.problem(0), batch.aliases(0)
    possible = config.space.orders
    for name in order:
        ORDERS.find(name)
    orders = [name for name in order or possible if name in possible]
    if not orders or not format:
        raise ValueError("nothing to show; give a format and an order (tree problems have the order 'forward' only)")
    rows: list[dict[str, Any]] = []
    for direction in orders:
        for fmt in format:
            if fmt == "answer-only" and direction != orders[0]:  # The same in every order.
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
    echo(f"{prompt}   (modulo {problem.modulus})")
    for row in rows:
        profile = "+".join(map(str, row["granularity"]))
        print()
        echo(f"{row['format']}, {row['order']}: {row['tokens']} tokens, operations per step {profile}")
        echo(f"  {row['text']}")
    print("\nTokens are word and punctuation pieces.")
    return 0
