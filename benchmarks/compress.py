"""`zipthought compress` on annotated solutions: records per second on one core, by what is asked for, and peak memory.

    python benchmarks/compress.py                       # solutions of its own making
    python benchmarks/compress.py --input train.jsonl   # yours; JSON Lines of question and answer

Beside it, in the same run, the least that any program does with such a file: read each line's JSON, find the
annotations by a regular expression, and write the record out again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from generate import peak_resident

from zipthought.solutions.compress import CompressConfig, compress_file

THINGS = ["eggs", "books", "kites", "marbles", "tickets", "cakes", "pens", "coins"]
PLACES = ["in the morning", "on Monday", "at the market", "after lunch", "in all", "by the end of the week"]


def make(count: int, path: Path) -> None:
    """`count` annotated solutions of 2 to 6 steps, no two alike, in the manner of school problems."""
    rng = random.Random(0)
    with path.open("w") as file:
        for index in range(count):
            value, lines = rng.randint(2, 90), []
            numbers = [value]
            for _ in range(rng.randint(2, 6)):
                op, other = rng.choice("+-*"), rng.randint(2, 40)
                numbers.append(other)
                result = {"+": value + other, "-": value - other, "*": value * other}[op]
                if result < 0:
                    op, result = "+", value + other
                money, unit, blank = rng.choice(["", "", "$"]), rng.choice(THINGS), rng.choice(["", " "])
                said = f"{money}{value}{blank}{op}{blank}{money}{other}"
                lines.append(
                    f"So she has {said} = {money}<<{value}{op}{other}={result}>>{result} {unit} {rng.choice(PLACES)}."
                )
                value = result
            question = f"Problem {index}: with {', '.join(map(str, numbers))}, how many are there?"
            file.write(json.dumps({"question": question, "answer": "\n".join([*lines, f"#### {value}"])}) + "\n")


def least(source: Path, target: Path) -> None:
    """What any program does with such a file, at the least."""
    annotation = re.compile(r"<<([^<>]*)>>")
    with source.open() as lines, target.open("w") as out:
        for line in lines:
            record = json.loads(line)
            record["annotations"] = annotation.findall(record["answer"])
            out.write(json.dumps(record) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="JSON Lines of question and answer; made up by default")
    parser.add_argument("--count", type=int, default=20_000, help="records to make up for the timed runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the memory run; 0 leaves it out")
    parser.add_argument("--memory-run", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_run:
        source, target = args.memory_run
        compress_file(CompressConfig(input=source, output=target, workers=1))
        print(peak_resident())
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = args.input or directory / "in.jsonl"
        if not args.input:
            make(args.count, source)
        count = sum(1 for _ in source.open())
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {count:,} records")
        jobs = {
            "the least: JSON and a regular expression": None,
            "composed:2": ("composed:2",),
            "composed:2 implicit:2 answer-only": ("composed:2", "implicit:2", "answer-only"),
        }
        times: dict[str, list[float]] = {job: [] for job in jobs}
        for _ in range(args.repeats):
            for job, formats in jobs.items():
                start = time.process_time()
                if formats:
                    config = CompressConfig(input=source, output=directory / "o.jsonl", format=formats, workers=1)
                    summary = compress_file(config)
                else:
                    least(source, directory / "o.jsonl")
                times[job].append(time.process_time() - start)
        print(f"verified {summary['verified']:,}")
        for job, taken in times.items():
            best, median = min(taken), sorted(taken)[len(taken) // 2]
            print(f"{job:<42}{count / best:>9,.0f} records/s best, {count / median:>9,.0f} median (processor time)")
        if args.records:
            big = directory / "big.jsonl"
            make(args.records, big)
            command = [sys.executable, __file__, "--memory-run", str(big), str(directory / "o.jsonl")]
            start = time.perf_counter()
            peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"memory: {peak:.0f} MB peak at {args.records:,} records ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
