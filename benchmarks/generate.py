"""`generate` against a plain loop: records per second in one process, and peak memory.

    python benchmarks/generate.py                     # n_ops 10, explicit, english, JSON Lines; memory at 1,000,000
    python benchmarks/generate.py --records 10000000  # memory at ten million

The reference is the program that one would write first: a loop over `random`, f-strings, `hashlib` and `json.dumps`,
with the same fields and the same split by structure. The floor is the work that remains when the finished lines are
already in memory: one digest of each line for its id, one of its structure, and writing it.

All three run in this process, one after the other, several times. They write to the same directory, in memory if there
is room, because a disk can be slower than the program that writes to it. The first repeat is not counted: pages that
the system gives to a file for the first time can cost more than all other work. Printed are the best times, and the
ratio to the reference within each repeat, by the wall clock and by processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.reading import problem_of, read_records
from zipthought.records.schema import FIELDS, record_id
from zipthought.surfaces import verify
from zipthought.tasks.names import alias_table, nouns

MODULUS, NUMBER_RANGE = 23, 5
WORDS = {"+": "plus", "-": "minus", "*": "times"}


def reference(n_ops: int, count: int, seed: int, path: Path) -> None:
    """`count` training records of `n_ops` operations, explicit, english, as JSON Lines."""
    rng = random.Random(seed)
    names_table, aliases_table = list(nouns()), list(alias_table())
    system = (
        f"All quantities are integers modulo {MODULUS}: the result of every operation is reduced to "
        f"0..{MODULUS - 1}. Reason step by step and end with 'Answer: <value>.'"
    )
    with path.open("w") as file:
        for index in range(count):
            while True:
                start = rng.randint(1, NUMBER_RANGE - 1)
                ops = [rng.choice("+-*") for _ in range(n_ops)]
                constants = [rng.randint(2 if op == "*" else 1, NUMBER_RANGE - 1) for op in ops]
                parts = {"modulus": MODULUS, "start": start, "ops": "".join(ops), "constants": constants}
                text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
                structure = hashlib.sha256(text.encode()).hexdigest()
                if int(structure[-8:], 16) * 100 >> 32 < 80:
                    break

            n_distractors = rng.randint(1, max(2, n_ops))
            names = rng.sample(names_table, n_ops + 1 + n_distractors)
            aliases = rng.sample(aliases_table, n_ops + 1)
            sentences = [f"The number of {names[0]} equals {start}."]
            for i in range(n_ops):
                sentences.append(
                    f"The number of {names[i + 1]} equals the number of {names[i]} {WORDS[ops[i]]} {constants[i]}."
                )
            for name in names[n_ops + 1 :]:
                sentences.append(f"The number of {name} equals {rng.randint(1, NUMBER_RANGE - 1)}.")
            rng.shuffle(sentences)
            prompt = " ".join(sentences) + f" What is the number of {names[n_ops]}?"

            value = start
            steps = [f"Define {names[0]} as {aliases[0]}; so {aliases[0]} = {start}."]
            for i in range(n_ops):
                op, constant, before = ops[i], constants[i], value
                value = value + constant if op == "+" else value - constant if op == "-" else value * constant
                value %= MODULUS
                alias = aliases[i + 1]
                steps.append(
                    f"Define {names[i + 1]} as {alias}; so {alias} = {aliases[i]} {op} {constant} = "
                    f"{before} {op} {constant} = {value}."
                )
            completion = " ".join(steps) + f" Answer: {value}."

            record = {
                "structure": structure,
                "split": "train",
                "index": index,
                "n_ops": n_ops,
                "modulus": MODULUS,
                "format": "explicit",
                "k": 1,
                "order": "forward",
                "surface": "english",
                "prompt": prompt,
                "completion": completion,
                "answer": str(value),
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": prompt},
                    {"role": "assistant", "content": completion},
                ],
            }
            canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
            record["id"] = hashlib.sha256(canonical.encode()).hexdigest()[:16]
            file.write(json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n")


def ours(n_ops: int, count: int, seed: int, directory: Path) -> Path:
    """The same records by `generate`; returns their file."""
    return generate(GenerateConfig(n_ops=(n_ops,), count=count, seed=seed, output_dir=directory))["files"]["explicit"]


def floor(lines: list[bytes], path: Path) -> None:
    """The least work of any program that writes these records: two digests per record, and writing."""
    sha256, block = hashlib.sha256, 64
    structure = b'{"constants":[1,1,1,1,1,1,1,1,1,1],"modulus":23,"ops":"++++++++++","start":1}'
    with path.open("wb") as file:
        for first in range(0, len(lines), block):
            part = lines[first : first + block]
            for line in part:
                sha256(line).hexdigest()
                sha256(structure).hexdigest()
            file.write(b"".join(part))


def check(path: Path, count: int) -> None:
    """Assert that the first records of a file have all fields, the right id and structure, and a faithful trace."""
    for record, _ in zip(read_records(path), range(count), strict=False):
        assert set(record) == set(FIELDS)
        assert record["id"] == record_id(record)
        assert problem_of(record).structure == record["structure"]
        assert verify(record["completion"], problem_of(record)).faithful


def per_record(count: int, work: Callable[..., object], *args: Any) -> tuple[float, float]:
    """Wall-clock and processor time of one call that writes `count` records, in seconds per record.

    The last argument of `work` is the path that it writes to. Files of an earlier call are deleted before the clock
    starts, because deleting takes time, too.
    """
    where = args[-1]
    for path in where.glob("explicit*") if where.is_dir() else [where]:
        path.unlink(missing_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    work(*args)
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def machine() -> str:
    model = platform.processor() or "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next((x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), model)
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, numpy {np.__version__}"


def peak_resident() -> float:
    """Peak resident memory of this process in MB. Linux's `getrusage` would include that of the parent process."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def measure_memory(n_ops: int, records: int, directory: Path) -> tuple[float, float]:
    """Peak resident memory in MB and seconds of a run in a process of its own."""
    start = time.perf_counter()
    command = [
        sys.executable,
        __file__,
        "--memory-run",
        str(directory),
        "--n-ops",
        str(n_ops),
        "--records",
        str(records),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-ops", type=int, default=10)
    parser.add_argument("--count", type=int, default=20_000, help="records of one timed run of the reference")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the memory run; 0 leaves it out")
    parser.add_argument("--output-dir", type=Path, help="where to write; by default the timed runs write to memory")
    parser.add_argument("--memory-run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_run:
        ours(args.n_ops, args.records, 0, args.memory_run)
        print(peak_resident())
        return

    memory = Path("/dev/shm")
    # `generate` writes five times as many records as the others, about 4 KB each at 10 operations; ask for twice that.
    room = memory.is_dir() and shutil.disk_usage(memory).free > 15 * args.count * 400 * (args.n_ops + 1)
    with tempfile.TemporaryDirectory(dir=args.output_dir or (memory if room else None)) as name:
        directory = Path(name)
        slow_path = directory / "reference.jsonl"
        print(machine())
        print(
            f"n_ops {args.n_ops}, explicit, english, jsonl, {args.count:,} records, {args.repeats} repeats, interleaved"
        )
        reference(args.n_ops, 200, 0, slow_path)
        check(slow_path, 200)
        check(ours(args.n_ops, 200, 0, directory), 200)

        many = 5 * args.count  # So that all runs take a comparable time.
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("reference", "zipthought", "floor")}
        for seed in range(args.repeats + 1):
            times["reference"].append(per_record(args.count, reference, args.n_ops, args.count, seed, slow_path))
            times["zipthought"].append(per_record(many, ours, args.n_ops, many, seed, directory))
            with (directory / "explicit.jsonl").open("rb") as file:
                lines = list(islice(file, args.count))
            times["floor"].append(per_record(args.count, floor, lines, directory / "floor.jsonl"))
        counted = {name: measured[1:] for name, measured in times.items()}
        for index, clock in enumerate(("wall", "cpu")):
            for name, measured in counted.items():
                ratios = [r[index] / t[index] for r, t in zip(counted["reference"], measured, strict=True)]
                best = min(t[index] for t in measured)
                print(
                    f"{clock:<5}{name:<12}{1 / best:>10,.0f} records/s (best)  {best * 1e6:7.2f} us per record   ratio "
                    f"{statistics.median(ratios):.1f}x (median; {min(ratios):.1f}x to {max(ratios):.1f}x)"
                )
    if args.records:
        with tempfile.TemporaryDirectory(dir=args.output_dir) as name:
            peak, took = measure_memory(args.n_ops, args.records, Path(name))
            print(f"memory      {peak:.0f} MB peak resident, {args.records:,} records in {took:.1f} s")


if __name__ == "__main__":
    main()
