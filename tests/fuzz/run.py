"""Runs the fuzzer: texts by index, the checks on each, shrinking, and a summary.

    python -m tests.fuzz --texts 1000000 --seed 0 --workers 2 --json out.json
    python -m tests.fuzz --seed 0 --only 4711
    python -m tests.fuzz --growth

Text i is a pure function of (seed, i) and of the list of kinds. The exit status is 1 where something fell.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import zipthought as zt
from zipthought.solutions import FAMILIES
from zipthought.solutions.solution import UnreadableError
from zipthought.surfaces import SURFACES

from .gold import Gold, gold
from .mutations import mutate, sentences
from .prose_reader import audit_prose
from .second_reader import audit

READ_BY_SECOND_READER = ("english", "terse")
CHUNK = 2000
KEPT = 4
"""Findings of one kind and reason that a chunk hands on."""


class Finding(NamedTuple):
    """One text on which the verifier and the second reader differ, or on which the verifier raised."""

    category: str
    """`exception`, `false_accept`, `false_credit` or `false_refusal`."""
    reason: str
    """The kind of fault."""
    detail: str


@dataclass(slots=True)
class Case:
    """A text to check, with where it came from."""

    index: int
    source: Gold
    text: str
    how: tuple[str, ...]
    """The mutations; empty for a right solution."""


def kinds() -> list[str]:
    """All surfaces and families that are registered."""
    return [*SURFACES, *FAMILIES]


def case(seed: int, index: int, names: list[str], solutions: str | None = None) -> Case:
    """Text `index`: a pure function of the arguments."""
    rng = Random(f"{seed}/{index}")
    source = gold(rng, names[index % len(names)], solutions)
    if rng.random() < 0.15:
        return Case(index, source, source.text, ())
    return Case(index, source, *mutate(rng, source))


def check(source: Gold, text: str, untouched: bool) -> list[Finding]:
    """What is wrong with the verdict on a text; `untouched` is a text that `gold` wrote and nothing changed."""
    untouched = untouched and source.faithful
    try:
        if source.problem is not None:
            return list(_check_synthetic(source, text, untouched))
        return list(_check_prose(source, text, untouched))
    except Exception as error:  # noqa: BLE001 - that nothing is raised is what this checks.
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [Finding("exception", type(error).__name__, f"{error} at {Path(where.filename).name}:{where.lineno}")]


def _kind(fault: str) -> str:
    return fault.split(":", 1)[0]


def _check_synthetic(source: Gold, text: str, untouched: bool) -> Iterator[Finding]:
    zt.verify(text, source.problem)  # The surface as it is recognized; what counts is that nothing is raised.
    verdict = zt.verify(text, source.problem, surface=source.kind)
    if untouched and not verdict.faithful:
        steps = [step.verdict for step in verdict.steps]
        yield Finding("false_refusal", source.form, f"answer {verdict.answer}, steps {steps}")
    if source.kind not in READ_BY_SECOND_READER:
        return
    found = audit(text, source.problem, source.kind)
    if untouched and found.provable_faults:
        yield Finding("second_reader", "refuses a right text", found.provable_faults[0])
    if verdict.answer == "correct" and not found.correct:
        yield Finding("false_accept", "answer", found.answer_faults[0])
    if verdict.faithful and (others := [f for f in found.provable_faults if f not in found.answer_faults]):
        yield Finding("false_accept", _kind(others[0]), others[0])
    singles = sum(size == 1 for size in verdict.granularity)
    most = found.single_steps if verdict.faithful else found.single_steps_at_most
    if singles > most:
        where = "a faithful text" if verdict.faithful else "a correct answer" if found.correct else "another text"
        detail = f"profile {verdict.granularity}, at most {most} steps of one operation"
        yield Finding("false_credit", f"singles, {where}", detail)
    elif sum(verdict.granularity) > source.problem.n_ops:
        yield Finding("false_credit", "more than n_ops", f"profile {verdict.granularity} of {source.problem.n_ops}")


def _check_prose(source: Gold, text: str, untouched: bool) -> Iterator[Finding]:
    family = FAMILIES[source.kind]
    verdict = family.verify(source.prompt, text, source.answer)
    try:
        solution = family.read(source.prompt, text)
    except UnreadableError as error:
        solution, refused = None, error.reason
    if untouched and (not verdict.faithful or solution is None):
        why = refused if solution is None else f"answer {verdict.answer}"
        yield Finding("false_refusal", why, f"faithful {verdict.faithful}")
    found = audit_prose(text, source.prompt, source.answer, source.kind)
    if untouched and found.provable_faults:
        yield Finding("second_reader", "refuses a right text", found.provable_faults[0])
    if verdict.answer == "correct" and not found.correct:
        yield Finding("false_accept", "answer", found.answer_faults[0])
    others = [f for f in found.provable_faults if f not in found.answer_faults]
    if verdict.faithful and others:
        yield Finding("false_accept", _kind(others[0]), others[0])
    if solution is not None and others:
        yield Finding("false_accept", f"compress reads {_kind(others[0])}", others[0])
    if solution is not None and solution.answer == source.answer and not found.correct:
        yield Finding("false_accept", "compress reads answer", found.answer_faults[0])


def shrink(source: Gold, text: str, finding: Finding, tries: int = 400) -> str:
    """A shorter text with the same finding: sentences left out, then words and marks."""

    def holds(parts: list[str]) -> bool:
        same = check(source, "".join(parts), untouched=False)
        return any(each[:2] == finding[:2] for each in same)

    for split in (lambda t: sentences(t, source.kind), lambda t: re.findall(r"\s*\w+|\s*[^\w\s]", t)):
        parts, at = split(text), 0
        while at < len(parts) and tries > 0:
            tries -= 1
            fewer = parts[:at] + parts[at + 1 :]
            if fewer and holds(fewer):
                parts = fewer
            else:
                at += 1
        if holds(parts):
            text = "".join(parts)
    return text


def _chunk(job: tuple[int, int, int, list[str], str | None]) -> tuple[Counter, list[dict[str, Any]]]:
    """The counts and the findings of the texts start..stop-1."""
    seed, start, stop, names, solutions = job
    counts: Counter = Counter()
    rows: list[dict[str, Any]] = []
    kept: Counter = Counter()
    for index in range(start, stop):
        each = case(seed, index, names, solutions)
        kind = each.source.kind
        counts["texts", kind] += 1
        for finding in check(each.source, each.text, not each.how):
            counts[finding.category, kind] += 1
            key = (kind, finding.category, finding.reason)
            counts["reason", *key] += 1
            kept[key] += 1
            if kept[key] <= KEPT:
                rows.append(row(each, finding))
    return counts, rows


def row(each: Case, finding: Finding) -> dict[str, Any]:
    """A finding as JSON values, with a shorter text."""
    source = each.source
    small = shrink(source, each.text, finding) if each.how and len(each.text) < 5000 else each.text
    again = next((f for f in check(source, small, not each.how) if f[:2] == finding[:2]), finding)
    return {
        "index": each.index,
        "kind": source.kind,
        **again._asdict(),
        "form": source.form,
        "mutations": list(each.how),
        "prompt": source.prompt,
        "modulus": source.problem.modulus if source.problem else None,
        "gold": source.answer,
        "text": each.text,
        "smallest": small,
    }


def fuzz(
    texts: int, seed: int, names: list[str], workers: int = 1, solutions: str | None = None, progress: bool = False
) -> dict[str, Any]:
    """The summary of texts 0..texts-1: counts by category and kind, and findings with the smallest texts first."""
    jobs = [(seed, start, min(texts, start + CHUNK), names, solutions) for start in range(0, texts, CHUNK)]
    counts: Counter = Counter()
    rows: list[dict[str, Any]] = []
    began = time.perf_counter()

    def take(results: Iterable[tuple[Counter, list[dict[str, Any]]]]) -> None:
        for done, (more, found) in enumerate(results, 1):
            counts.update(more)
            rows.extend(found)
            if progress and sys.stderr.isatty() | (done % 10 == 0):
                fallen = sum(n for (what, *_), n in counts.items() if what not in ("texts", "reason"))
                print(f"{min(texts, done * CHUNK)} of {texts} texts, {fallen} findings", file=sys.stderr, flush=True)

    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            take(pool.imap(_chunk, jobs))
    else:
        take(map(_chunk, jobs))
    rows.sort(key=lambda r: (r["kind"], r["category"], r["reason"], len(r["smallest"])))
    return {
        "texts": {kind: counts["texts", kind] for kind in names},
        "findings": {
            category: {kind: counts[category, kind] for kind in names}
            for category in ("exception", "false_accept", "false_credit", "false_refusal", "second_reader")
        },
        "reasons": {" / ".join(key[1:]): n for key, n in sorted(counts.items()) if key[0] == "reason"},
        "seconds": round(time.perf_counter() - began, 1),
        "examples": rows,
    }


def show(summary: dict[str, Any], per_reason: int = 3) -> None:
    """Print the counts, and the smallest texts of each reason."""
    shown: Counter = Counter()
    for each in summary["examples"]:
        key = (each["kind"], each["category"], each["reason"])
        shown[key] += 1
        if shown[key] == 1:
            print(f"\n{' / '.join(key)}: {summary['reasons'][' / '.join(key)]}")
        if shown[key] <= per_reason:
            modulus = f" (mod {each['modulus']})" if each["modulus"] else ""
            print(f"  [{each['index']}] {each['detail'][:160]}\n    prompt{modulus}: {each['prompt'][:400]!r}")
            how = "+".join(each["mutations"]) or each["form"]
            print(f"    gold {each['gold']}, by {how}: {each['smallest'][:400]!r}")
    print(f"\n{sum(summary['texts'].values())} texts in {summary['seconds']} s")
    for category, by_kind in summary["findings"].items():
        print(f"{category:14} " + ", ".join(f"{kind} {n}" for kind, n in by_kind.items()))


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=20_000, help="how many texts (20,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--kinds", nargs="+", default=kinds(), choices=kinds(), help="surfaces and families (all)")
    parser.add_argument("--solutions", metavar="FILE", help="JSON Lines with question and answer, mutated as gsm8k too")
    parser.add_argument("--json", type=Path, help="write the summary with all examples to this file")
    parser.add_argument("--only", type=int, metavar="INDEX", help="check this text alone; needs the same --kinds")
    parser.add_argument("--growth", action="store_true", help="measure time against length instead")
    options = parser.parse_args(argv)
    if options.growth:
        from .growth import measure

        summary: dict[str, Any] = measure(options.kinds)
        fell = bool(summary["flagged"])
    elif options.only is not None:
        each = case(options.seed, options.only, options.kinds, options.solutions)
        findings = check(each.source, each.text, not each.how)
        summary = {"prompt": each.source.prompt, "gold": each.source.answer, "mutations": each.how, "text": each.text}
        summary["findings"] = [row(each, finding) for finding in findings]
        print(json.dumps(summary, indent=1))
        fell = bool(findings)
    else:
        summary = fuzz(options.texts, options.seed, options.kinds, options.workers, options.solutions, True)
        show(summary)
        fell = any(n for by_kind in summary["findings"].values() for n in by_kind.values())
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1))
    return int(fell)
