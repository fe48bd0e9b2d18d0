"""How the verifier's verdicts on real solutions compare with those of people, and with an independent reader.

    python benchmarks/human_verdicts.py --data MR-GSM8K.json         # people's verdicts on solutions of models
    python benchmarks/human_verdicts.py --accepted FILE [FILE ...]   # files that `zipthought compress` reads

`--data` has records of MR-GSM8K (Zeng et al. 2023): a question, the steps of a model's solution, and the first step
that is wrong by a person's verdict, if any. The verifier reads the first step, then the first two, and so on, so that
each equation that does not hold belongs to one of the model's steps. People mark all kinds of errors, the verifier
finds those of arithmetic. So two questions are answered:

- **recall**: of the marked steps with an equation that is false by the independent reader, how many does the verifier
  find? Once as the reader reads them, and once more after unit words were left out (`60 ml x 8 laps = 500 ml`), which
  the verifier leaves unread by its rules. Such an equation may also convert units (`2 hours - 10 minutes = 110
  minutes`), so those that only the reader calls false are listed, to be read;
- **before the marked step**, or in a right solution: is a step that the verifier finds false a slip that the person let
  pass (the independent reader calls it false as well), or a false alarm? All are listed, to be read.

`--accepted` looks for false accepts: the independent reader reads every solution that verifies and lists each equation
that it calls false. Thinking traces are counted separately, because a trace may take equations back.

The independent reader is the one of the fuzzer (`tests/fuzz/prose_reader.py`), which shares no code with the verifier.
It calls an equation false only if it is sure of both sides: numbers, operators and brackets alone, or one unit
throughout. So it leaves out approximate signs, divisions with a remainder, expressions that words or a number's
neighbours may go on with, and results with the noise of floating-point numbers.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz.prose_reader import false_equations

from zipthought.files.sources import read_source
from zipthought.solutions import detect_family, gsm8k
from zipthought.solutions.compress.records import parse_record
from zipthought.solutions.layouts import Reading
from zipthought.solutions.solution import UnreadableError

SOURCE = "dataset/MR-GSM8K.json of https://github.com/dvlab-research/MR-GSM8K"
PLACES = ("at", "before", "after", "none")
"""Where the verifier's first step that is not valid stands, relative to the step that a person marked."""
_BREAK = re.compile(r"^Step \d+:|(?<=[.!?])\s+(?=[A-Z\\])", re.M)
_OPERATING = r"of|times|than|per|and|dozen|percent|(?:hundred|thousand|million|billion)s?"
"""Words that are no unit but a part of the arithmetic."""
_UNITS = re.compile(rf"(?<=[0-9]) (?:(?!(?:{_OPERATING})\b)(?:a|[A-Za-z/]{{2,}}) ?){{1,4}}(?=[-+*/×÷=)]|x )")


class HumanRecord(NamedTuple):
    """A model's solution with a person's verdict."""

    number: int
    """Its position in the file, from 1."""
    kind: str
    """The type of its question: `original`, `reversed` (one number is asked for), or `POT` (the solution is code)."""
    question: str
    steps: tuple[str, ...]
    marked: int | None
    """The first step that is wrong, from 1; None for a right solution."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A step of a verdict that is not valid, or an equation that only the independent reader calls false."""

    record: int
    step: int
    """The model's step that it stands in, from 1."""
    verdict: str
    """One of `STEP_VERDICTS`; empty where only the independent reader calls the equation false."""
    text: str
    """The equation, and what is wrong with it."""
    confirmed: bool = False
    """Whether the independent reader finds a false equation in the same step."""


def read_record(number: int, record: dict[str, Any]) -> HumanRecord:
    """A record of MR-GSM8K. Raises `UnreadableError` for one without steps or without a verdict."""
    steps, verdict = record.get("model_output_steps"), str(record.get("model_output_solution_correctness")).lower()
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in [record.get("question"), *steps]):
        raise UnreadableError("missing_field", "no question, or no list of steps")
    marked = str(record.get("model_output_solution_first_error_step")).strip().lower().removeprefix("step ")
    if verdict == "correct":
        first = None
    elif verdict == "wrong" and marked.isdecimal() and 1 <= int(marked) <= len(steps):
        first = int(marked)
    else:
        raise UnreadableError("no_verdict", f"the solution is {verdict!r}, the first wrong step {marked!r}")
    return HumanRecord(number, str(record.get("question_type", "original")), record["question"], tuple(steps), first)


def find_faults(record: HumanRecord) -> list[Fault]:
    """The verifier's steps that are not valid, each with the model's step that it stands in.

    The verdicts on steps do not depend on the right answer, so any number may stand for it: the data set lacks some.
    """
    faults: list[Fault] = []
    for step in range(1, len(record.steps) + 1):
        verdict = gsm8k.verify(record.question, "\n".join(record.steps[:step]), "0")
        invalid = [each for each in verdict.steps if each.verdict != "valid"]
        faults += [Fault(record.number, step, each.verdict, each.name) for each in invalid[len(faults) :]]
    return faults


def read_again(text: str) -> tuple[list[str], int]:
    """The equations that the independent reader calls false, and how many it read. It reads lines, so that every
    sentence is put on a line of its own, without its label."""
    return false_equations(_BREAK.sub("\n", text))


def without_units(text: str) -> str:
    """A text without the unit words between a number and what follows it: `60 ml x 8 laps = 500` as `60 x 8 = 500`."""
    return _UNITS.sub(" ", text)


@dataclass(slots=True)
class Comparison:
    """The verifier's verdicts beside those of people."""

    unreadable: Counter[str] = field(default_factory=Counter)
    """Reason -> records that were left out."""
    wrong: dict[str, Counter[str]] = field(default_factory=dict)
    """Type of question -> `PLACES` -> solutions that a person calls wrong."""
    right: dict[str, Counter[str]] = field(default_factory=dict)
    """The same for right solutions: `faults` where the verifier finds any, else `none`."""
    marked_false: int = 0
    """Marked steps with an equation that is false by the independent reader."""
    marked_found: int = 0
    """How many of them have a step that the verifier calls not valid."""
    unit_false: int = 0
    """Marked steps with an equation that is false by the independent reader once unit words are left out, too."""
    unit_found: int = 0
    found_alone: list[Fault] = field(default_factory=list)
    """Faults at marked steps in which the independent reader finds none."""
    alarms: list[Fault] = field(default_factory=list)
    """Faults before the marked step, or in a right solution."""
    missed: list[Fault] = field(default_factory=list)
    """Equations of any step that are false by the independent reader, where the verifier finds nothing in the step."""

    @property
    def records(self) -> int:
        return sum(count for table in (self.wrong, self.right) for row in table.values() for count in row.values())

    def add(self, record: HumanRecord) -> None:
        """Count a record."""
        faults, marked = find_faults(record), record.marked
        plain = [read_again(step)[0] for step in record.steps]
        units = [found or read_again(without_units(step))[0] for found, step in zip(plain, record.steps, strict=True)]
        faults = [replace(fault, confirmed=bool(units[fault.step - 1])) for fault in faults]
        found = {fault.step for fault in faults}
        if marked is None:
            self.right.setdefault(record.kind, Counter())["faults" if faults else "none"] += 1
        else:
            first = min(found, default=None)
            place = "none" if first is None else "at" if first == marked else "before" if first < marked else "after"
            self.wrong.setdefault(record.kind, Counter())[place] += 1
            self.marked_false += bool(plain[marked - 1])
            self.marked_found += bool(plain[marked - 1]) and marked in found
            self.unit_false += bool(units[marked - 1])
            self.unit_found += bool(units[marked - 1]) and marked in found
            self.found_alone += [fault for fault in faults if fault.step == marked and not units[marked - 1]]
        self.alarms += [fault for fault in faults if marked is None or fault.step < marked]
        self.missed += [
            Fault(record.number, step, "", text)
            for step, equations in enumerate(units, 1)
            if step not in found
            for text in equations
        ]


def compare(path: Path) -> Comparison:
    """Compare the verdicts on a file of MR-GSM8K."""
    comparison = Comparison()
    for item in read_source(path):
        try:
            comparison.add(read_record(item.number, parse_record(item.text)))
        except UnreadableError as error:
            comparison.unreadable[error.reason] += 1
    return comparison


@dataclass(slots=True)
class Accepted:
    """What the independent reader says of the solutions of a file that verify."""

    records: int = 0
    accepted: int = 0
    equals: int = 0
    """Equals signs in them, those of annotations included."""
    equations: int = 0
    """Equations that the independent reader read for certain, outside of thinking traces."""
    trace_equations: int = 0
    """The same in thinking traces."""
    false: list[tuple[int, str]] = field(default_factory=list)
    """(record, equation) of those that it calls false, outside of thinking traces."""
    trace_false: list[tuple[int, str]] = field(default_factory=list)


def audit(path: Path) -> Accepted:
    """Read every solution of a file that verifies a second time."""
    result = Accepted()
    for item in read_source(path, Reading().fields):
        result.records += 1
        try:
            *_, source = Reading().sources(parse_record(item.text))
            detect_family(source.question).read(source.question, source.solution, source.answer)
        except UnreadableError:
            continue
        result.accepted += 1
        result.equals += source.solution.count("=")
        trace, _, rest = source.solution.rpartition("</think>")
        for text, is_trace in ((trace, True), (rest, False)):
            false, read = read_again(text)
            if is_trace:
                result.trace_equations += read
            else:
                result.equations += read
            (result.trace_false if is_trace else result.false).extend((item.number, each) for each in false)
    return result


def report(comparison: Comparison) -> Iterator[str]:
    """The lines of the report on verdicts of people."""
    yield f"{comparison.records} records with a person's verdict; left out: {dict(comparison.unreadable) or 'none'}\n"
    yield f"{'first step that is not valid':30}" + "".join(f"{place:>9}" for place in PLACES) + "   (the marked step)"
    for kind, places in sorted(comparison.wrong.items()):
        yield f"{'wrong, ' + kind:30}" + "".join(f"{places[place]:9}" for place in PLACES)
    for kind, places in sorted(comparison.right.items()):
        yield f"{'right, ' + kind:30}{places['faults']:9} with one, {places['none']} without"
    yield ""
    for title, count in (
        ("marked steps with a false equation by the independent reader", comparison.marked_false),
        ("  of them found by the verifier", comparison.marked_found),
        ("the same once unit words are left out", comparison.unit_false),
        ("  of them found by the verifier", comparison.unit_found),
    ):
        yield f"{title:62}{count:5}"
    for title, faults in (
        ("found by the verifier alone, at the marked step", comparison.found_alone),
        ("before the marked step, or in a right solution", comparison.alarms),
        ("false by the independent reader, and no fault for the verifier", comparison.missed),
    ):
        yield f"\n{title}: {len(faults)}"
        for fault in faults:
            agrees = " (false by the independent reader as well)" if fault.confirmed else ""
            yield f"  record {fault.record}, step {fault.step}: {fault.text}{agrees}"


def report_accepted(path: Path, found: Accepted) -> Iterator[str]:
    """The lines of the report on a file."""
    yield f"\n{path.name}: {found.accepted} of {found.records} records verify, with {found.equals} equals signs"
    for place, count, false in (
        ("solutions", found.equations, found.false),
        ("thinking traces", found.trace_equations, found.trace_false),
    ):
        yield f"  {place}: {count} equations read by the independent reader, {len(false)} of them false"
        yield from (f"    record {number}: {equation}" for number, equation in false)


def as_json(value: Any) -> dict[str, Any]:
    """The fields of a dataclass."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help=f"records of MR-GSM8K: {SOURCE}")
    parser.add_argument("--accepted", type=Path, nargs="+", default=[], help="files that `zipthought compress` reads")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    args = parser.parse_args(arguments)
    if not args.data and not args.accepted:
        parser.error("nothing to do: give --data, --accepted or both")
    if missing := [path for path in (args.data, *args.accepted) if path and not path.exists()]:
        raise SystemExit(f"{missing[0]} does not exist; MR-GSM8K is {SOURCE}")
    comparison = compare(args.data) if args.data else None
    accepted = {path: audit(path) for path in args.accepted}
    if args.json:
        everything = {"data": comparison, "accepted": {str(path): found for path, found in accepted.items()}}
        print(json.dumps(everything, default=as_json, indent=2))
        return
    if comparison:
        print("\n".join(report(comparison)))
    for path, found in accepted.items():
        print("\n".join(report_accepted(path, found)))


if __name__ == "__main__":
    main()
