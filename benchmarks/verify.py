"""How fast the verifier reads traces, on one core: `python benchmarks/verify.py [--traces 2000] [--repeats 9]`.

Three tables: traces per second with Problem objects at hand, the same with the prompt parsed first, and microseconds
per character as texts grow (constant, because the verifier is linear in the text). Times are processor times of this
process. Each row gives the best and the median of the repeats, because machines are noisy. The target is 20,000 english
explicit traces of n_ops 10 per second.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import zipthought
from zipthought.core.compress import compress
from zipthought.core.problem import Problem
from zipthought.surfaces import get_surface, verify
from zipthought.tasks.sampling import SamplerConfig, sample_batch

FORMATS = ("explicit", "composed:2", "implicit:2")


def sampled(n_ops: int, count: int, fmt: str, surface: str) -> tuple[list[Problem], list[str]]:
    """Problems, and their solution texts in a format and a surface."""
    batch = sample_batch(SamplerConfig(n_ops=n_ops), "test", range(count))
    problems = [batch.problem(row) for row in range(count)]
    render = get_surface(surface).render
    return problems, [render(compress(p, fmt), batch.aliases(row)) for row, p in enumerate(problems)]


def seconds(prepare: Callable[[], list], work: Callable[[list], None], repeats: int) -> tuple[float, float]:
    """Best and median processor time of `work` on the output of `prepare`, which runs anew before each repeat."""
    times = []
    for _ in range(repeats):
        prepared = prepare()
        start = time.process_time()
        work(prepared)
        times.append(time.process_time() - start)
    return min(times), statistics.median(times)


def verify_all(surface: str, pairs: list[tuple[str, Problem]]) -> None:
    for text, problem in pairs:
        if not verify(text, problem, surface).faithful:
            raise AssertionError(f"gold is not faithful: {text}")


def parse_and_verify(surface: str, pairs: list[tuple[str, str]]) -> None:
    parse_problem = get_surface(surface).parse_problem
    for text, prompt in pairs:
        if not verify(text, parse_problem(prompt, 23), surface).faithful:
            raise AssertionError(f"gold is not faithful: {text}")


def paired(texts: list[str], others: list) -> list:
    return list(zip(texts, others, strict=True))


def with_fresh(texts: list[str], problems: list[Problem]) -> list:
    """Pairs with new copies of the problems, in which no property has been computed and cached yet."""
    return paired(texts, [Problem(p.modulus, p.definitions, p.target) for p in problems])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    count, repeats = args.traces, args.repeats

    cpu = platform.processor() or platform.machine()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(
        f"zipthought {zipthought.__version__}, Python {platform.python_version()}, {platform.system()} {cpu}, ", end=""
    )
    print(f"{os.cpu_count()} CPUs, load {load}; {count} traces, {repeats} repeats, CPU time of one process\n")

    print(
        f"{'n_ops 10, traces/s: best (median)':36}{'problem used before':>22}{'new problem':>22}{'prompt parsed':>22}"
    )
    for surface in ("english", "terse"):
        for fmt in FORMATS:
            problems, texts = sampled(10, count, fmt, surface)
            prompts = [get_surface(surface).render_problem(p) for p in problems]
            cells = [
                seconds(partial(paired, texts, problems), partial(verify_all, surface), repeats),
                seconds(partial(with_fresh, texts, problems), partial(verify_all, surface), repeats),
                seconds(partial(paired, texts, prompts), partial(parse_and_verify, surface), repeats),
            ]
            row = "".join(f"{f'{count / best:,.0f} ({count / median:,.0f})':>22}" for best, median in cells)
            print(f"{surface + ' ' + fmt:36}{row}")

    print(f"\n{'english explicit, new problem':36}{'characters':>22}{'us/trace':>22}{'us/character':>22}")
    for n_ops in (10, 50, 200, 400):
        problems, texts = sampled(n_ops, max(20, count // n_ops), "explicit", "english")
        best, _ = seconds(partial(with_fresh, texts, problems), partial(verify_all, "english"), repeats)
        characters = sum(map(len, texts))
        print(
            f"{f'n_ops {n_ops}':36}{characters / len(texts):22,.0f}{best / len(texts) * 1e6:22.1f}"
            f"{best / characters * 1e6:22.4f}"
        )


if __name__ == "__main__":
    main()
