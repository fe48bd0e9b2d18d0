"""`zipthought mix`: speed and memory of a million records, and what it finds of planted duplicates and overlaps.

    python benchmarks/mix.py                                     # both; about ten minutes
    python benchmarks/mix.py --records 0 --gsm8k test.jsonl      # what is found alone, also on GSM8K

Detection: into a file of distinct records are planted exact duplicates (other case and white space), near duplicates
(1, 2 or 4 words of question and solution with a typo, another word or a filler; the numbers stay), copies with another
number (which are other problems and must stay), and the questions of an evaluation file, equal or with such edits.
Overlaps of synthetic problems are dressed anew instead: the same structure, other names. A record that was not planted
and is removed is a false removal; in GSM8K it may also be a true duplicate that the data set has.
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
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generate import peak_resident

from zipthought.files.atomic import atomic_files
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.mixing.config import MixConfig, Recipe, SourceFile
from zipthought.mixing.run import Mixture, mix
from zipthought.records.reading import problem_of
from zipthought.surfaces import get_surface
from zipthought.tasks.dressing import redress

Record = dict[str, Any]
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
EDITS = (1, 2, 4)
_WORD = re.compile(r"[A-Za-z]{4,}")
_NUMBERS = re.compile(
    r"(zero|three|four|five|seven|eight|nine|ten|eleven|twelve|\w+ty|\w+teen|hundred|thousand|half|"
    r"halves|quarters?|once|twice|thrice|double|triple|thirds?|dozen)",
    re.IGNORECASE,
)
_OTHER = {"many": "much", "the": "a", "each": "every", "does": "did", "equals": "is", "have": "hold", "total": "sum"}


def run_mix(recipe: Recipe, output: Path, removed: Path | None = None) -> Mixture:
    with atomic_files() as open_file:
        listed = open_file(removed) if removed else None
        return mix(recipe, open_file(output), output.parent, listed)


def files_of(count: int, directory: Path) -> tuple[Path, Path]:
    """Two files of `count` records together, explicit and composed:2, of other problems."""
    for seed, name in enumerate(("explicit", "composed:2")):
        generate(GenerateConfig(n_ops=(6,), count=count // 2, format=(name,), output_dir=directory, seed=seed))
    return directory / "explicit.jsonl", directory / "composed-2.jsonl"


def measure_scale(count: int, near: float, tag: str = "") -> None:
    with tempfile.TemporaryDirectory() as name:
        files = files_of(count, Path(name))
        size = sum(file.stat().st_size for file in files)
        command = [sys.executable, __file__, "--memory-run", *map(str, files), "--near", str(near), "--tag", tag]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        made = json.loads(done.stdout)
    print(
        f"{count:>9,} records ({size / 1e6:,.0f} MB), near duplicates {near or 'off'}, tag {tag or 'off'}: "
        f"{seconds:.0f} s ({made['processor']:.0f} of the processor), {count / seconds:,.0f} records/s, "
        f"peak {made['peak']:.0f} MB; {made['records']:,} mixed, removed {made['removed']}",
        flush=True,
    )


def memory_run(files: list[Path], near: float, tag: str) -> None:
    sources = tuple(SourceFile(file=file, weight=weight) for file, weight in zip(files, (0.7, 0.3), strict=True))
    made = run_mix(
        Recipe(sources=sources, config=MixConfig(near_duplicates=near, tag=tag)), files[0].with_name("mixed.jsonl")
    )
    counts = {"records": made.records, "removed": made.removed}
    print(json.dumps({"peak": peak_resident(), "processor": time.process_time(), **counts}))


def edited(text: str, edits: int, rng: random.Random) -> str:
    """A text with some words changed, and no number."""
    words = [m for m in _WORD.finditer(text) if not _NUMBERS.fullmatch(m.group())]
    for match in sorted(rng.sample(words, min(edits, len(words))), key=lambda m: -m.start()):
        word, at = match.group(), rng.randrange(len(match.group()) - 1)
        kinds = [word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], f"really {word}"]
        new = _OTHER.get(word.lower()) or rng.choice(kinds)
        new = word + word[-1] if new == word else new
        text = text[: match.start()] + new + text[match.end() :]
    return text


def renumbered(text: str, rng: random.Random) -> str:
    """A text with one number changed."""
    match = rng.choice(list(re.finditer(r"\d+", text)))
    return text[: match.start()] + str(int(match.group()) + rng.randint(1, 9)) + text[match.end() :]


def plant(
    records: list[Record],
    question: str,
    solution: str,
    overlaps: dict[str, Callable[[Record, random.Random], Record]],
) -> tuple[list[Record], list[Record], list[str]]:
    """(records to mix, evaluation records, kind of each record to mix)."""
    rng = random.Random(0)
    records = rng.sample(records, len(records))
    part = len(records) // 5
    evaluation, kept = records[:part], records[part:]
    planted: list[tuple[str, Record]] = []
    for record in kept[:part]:
        planted.append(("exact", {**record, question: record[question].upper().replace(" ", "  ")}))
    for edits in EDITS:
        for record in kept[:part]:
            texts = {question: edited(record[question], edits, rng), solution: edited(record[solution], edits, rng)}
            planted.append((f"near, {edits} edits", {**record, **texts}))
    for record in [record for record in kept if re.search(r"\d", record[question])][:part]:
        planted.append(("another number", {**record, question: renumbered(record[question], rng)}))
    for record in evaluation:
        planted.append(("overlap", record))
        for kind, overlap in overlaps.items():
            planted.append((f"overlap, {kind}", overlap(record, rng)))
    rng.shuffle(planted)
    made = [("untouched", record) for record in kept] + planted
    return [record for _, record in made], evaluation, [kind for kind, _ in made]


def measure_detection(name: str, records: list[Record], evaluation: list[Record], kinds: list[str]) -> None:
    print(f"\n{name}: share removed, by what was planted and by threshold")
    totals, found = Counter(kinds), {}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        data, exclude = directory / "data.jsonl", directory / "exclude.jsonl"
        data.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        exclude.write_text("".join(f"{json.dumps(record)}\n" for record in evaluation))
        for threshold in (0.0, *THRESHOLDS):
            config = MixConfig(near_duplicates=threshold, near_overlap=threshold, exclude=(exclude,))
            recipe = Recipe(sources=(SourceFile(file=data),), config=config)
            run_mix(recipe, directory / "mixed.jsonl", directory / "removed.jsonl")
            rows = map(json.loads, (directory / "removed.jsonl").read_text().splitlines())
            found[threshold] = Counter(kinds[int(row["source_id"].split()[-1]) - 1] for row in rows)
    print(f"{'':<20}{'planted':>9}" + "".join(f"{threshold or 'equal only':>12}" for threshold in found))
    for kind in sorted(totals, reverse=True):
        shares = "".join(f"{counts[kind] / totals[kind]:>12.4f}" for counts in found.values())
        print(f"{kind:<20}{totals[kind]:>9,}{shares}")


def synthetic(count: int) -> tuple[list[Record], list[Record], list[str]]:
    with tempfile.TemporaryDirectory() as name:
        generate(GenerateConfig(n_ops=(6,), count=count, output_dir=Path(name)))
        records = [json.loads(line) for line in (Path(name) / "explicit.jsonl").open()]
    distinct = list({record["structure"]: record for record in records}.values())

    def dressed(record: Record, rng: random.Random) -> Record:
        return {**record, "prompt": get_surface("english").render_problem(redress(problem_of(record), 1))}

    return plant(distinct, "prompt", "completion", {"other names": dressed})


def real(file: Path) -> tuple[list[Record], list[Record], list[str]]:
    records = [json.loads(line) for line in file.open()]

    def reworded(edits: int) -> Callable[[Record, random.Random], Record]:
        return lambda record, rng: {**record, "question": edited(record["question"], edits, rng)}

    return plant(records, "question", "answer", {f"{edits} edits": reworded(edits) for edits in EDITS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the large run; 0 skips it")
    parser.add_argument("--synthetic", type=int, default=5000, help="synthetic problems of the detection; 0 skips it")
    parser.add_argument("--gsm8k", type=Path, help="a file of GSM8K for the detection")
    parser.add_argument("--memory-run", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--near", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--tag", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_run:
        memory_run(args.memory_run, args.near, args.tag)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if args.records:
        measure_scale(args.records // 10, 0.0, "ratio")
    for near in (0.0, 0.5) if args.records else ():
        for count in (args.records // 10, args.records):
            measure_scale(count, near)
    if args.synthetic:
        measure_detection("synthetic english problems", *synthetic(args.synthetic))
    if args.gsm8k:
        measure_detection("GSM8K", *real(args.gsm8k))


if __name__ == "__main__":
    main()
