"""The run of a compression: batches of records, in one process or several, to whole files."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import IO, Any, NamedTuple

from ...core.methods import Method
from ...core.methods.scored import Scorer, TokenScore
from ...files.atomic import atomic_files, refuse_directories, refuse_overwrite
from ...files.earlier import is_compressed
from ...files.hub import on_disk
from ...files.sources import SourceItem, read_source
from ..methods import WRITERS, WriteContext, compress_solution
from ..rewrites import Rewrite
from ..solution import UnreadableError
from .config import CompressConfig, load_tokenizer, token_counter, tokenizer_files
from .counts import Counts
from .reading import ReadSolution, Rewriter, read_item
from .records import RecordWriter, reject_line

BATCH_BYTES = 1 << 20
"""Bytes of input in a batch. A single record may be longer."""
BATCH_RECORDS = 1000
"""Records in a batch, at most."""
SMALL = 8 << 20
"""Inputs of fewer bytes are compressed in one process, unless `workers` sets another number."""


class Written(NamedTuple):
    """The output of a batch."""

    lines: list[bytes]
    """The lines of each format."""
    rejects: bytes
    """The lines of the rejected records."""
    counts: Counts


def compress_file(
    config: CompressConfig,
    on_progress: Callable[[int], None] | None = None,
    rewriter: Rewriter | None = None,
    scorer: Scorer | None = None,
) -> dict[str, Any]:
    """Compress a file. Returns the summary of `Counts`, with `files` and `rejects_file`.

    `on_progress` is called with the number of records that are done. A format `rewrite:NAME` needs a `rewriter`,
    and `tokens:p` and `steps:p` a `scorer`; their models take the time then, so all is done in this process. Raises
    `ValueError` and `OSError` for an input that cannot be read at all and for an output that is an input, has other
    content (without `overwrite`) or cannot be written, and `ChildProcessError` for a worker process that was killed. No
    file is written then.
    """
    formats = config.parsed_formats
    paths = sorted({config.path(method) for method in formats} | {config.rejects_path})
    refuse_overwrite(
        paths, [on_disk(config.input), *tokenizer_files(config.tokenizer), *filter(None, [config.layout_file])]
    )
    if not config.is_one_file and config.output.exists() and not config.output.is_dir():
        raise NotADirectoryError(f"the output directory {config.output} is a file; choose another one")
    refuse_directories(paths)
    load_tokenizer(config.tokenizer)  # Raises here rather than in every process.
    counts = Counts(formats)
    items = iter(read_source(config.input, {*config.fields, config.id_field}))
    first = list(itertools.islice(items, 1))  # Raises for a file that cannot be opened, before anything is written.
    with atomic_files(overwrite=config.overwrite or is_compressed) as open_file:
        files = {path: open_file(path) for path in paths}
        outputs: list[IO[bytes]] = [files[config.path(method)] for method in formats]
        for written in _compress_batches(config, _batches(itertools.chain(first, items)), rewriter, scorer):
            for file, text in zip(outputs, written.lines, strict=True):
                file.write(text)
            files[config.rejects_path].write(written.rejects)
            counts.add(written.counts)
            if on_progress:
                on_progress(counts.input)
    return {
        **counts.summary(),
        "files": {str(method): str(config.path(method)) for method in formats},
        "rejects_file": str(config.rejects_path),
    }


def _batches(items: Iterator[SourceItem]) -> Iterator[list[SourceItem]]:
    batch: list[SourceItem] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.text)
        if size >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _compress_batches(
    config: CompressConfig,
    batches: Iterator[list[SourceItem]],
    rewriter: Rewriter | None,
    scorer: Scorer | None,
) -> Iterator[Written]:
    """The output of the batches in order. At most two batches per process are in memory."""
    workers = 1 if rewriter or scorer else config.workers
    if not workers:
        small = config.input.is_file() and config.input.stat().st_size < SMALL
        workers = 1 if small else os.cpu_count() or 1
    if workers == 1:
        yield from (compress_batch(config, batch, rewriter, scorer) for batch in batches)
        return
    waiting: deque[Future[Written]] = deque()
    processes: list[BaseProcess] = []
    # Spawned, not forked: this process may have threads (of Arrow, of torch) whose locks a forked copy would wait for.
    pool = ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"), initializer=_follow_parent)
    try:
        for batch in batches:
            with _interrupts_held():
                waiting.append(pool.submit(compress_batch, config, batch))
            processes = processes or list(pool._processes.values())  # The first batch starts all of them.
            if len(waiting) >= 2 * workers:
                yield _result(waiting.popleft(), pool, processes)
        while waiting:
            yield _result(waiting.popleft(), pool, processes)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process was killed, perhaps for want of memory; try again, or with fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _result(future: Future[Written], pool: ProcessPoolExecutor, processes: list[BaseProcess]) -> Written:
    """The result of a batch. Raises `BrokenProcessPool` if a process was killed.

    The pool notices this itself, unless the process was killed while it wrote a result: then the pool waits for the
    rest of the result for ever (seen with CPython 3.11). So the rest is cut off here.
    """
    while not wait([future], timeout=1).done:
        if any(not process.is_alive() for process in processes) and not wait([future], timeout=5).done:
            for process in processes:
                process.kill()
            pool._result_queue._writer.close()  # type: ignore[attr-defined]  # The last open end.
    return future.result()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the block ends. A process that starts in the block never gets it: its parent stops it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_parent() -> None:
    """In a worker process: the parent handles Ctrl-C, and the process ends with its parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def compress_batch(
    config: CompressConfig, batch: list[SourceItem], rewriter: Rewriter | None = None, scorer: Scorer | None = None
) -> Written:
    """Compress some items of a source in every format. A solution that one format refuses is in none."""
    tokenizer = load_tokenizer(config.tokenizer)
    count = token_counter(config.tokenizer)
    formats = config.parsed_formats
    counts = Counts(formats)
    outputs: list[tuple[Method, str, list[str]]] = [(method, str(method), []) for method in formats]
    rejects: list[str] = []
    found: Iterable[_Found] = ((item, id_, read, {}) for item in batch for id_, read in read_item(config, item))
    if rewriter:
        found = _with_rewrites(formats, list(found), rewriter)
    scores = _scores(found := list(found), scorer) if scorer else {}
    for place, (item, id_, read, rewrites) in enumerate(found):
        counts.input += 1
        if isinstance(read, UnreadableError):
            counts.reasons[read.reason] += 1
            rejects.append(reject_line(item, id_, read))
            continue
        solution = read.solution
        counts.verified += 1
        counts.ambiguous += solution.ambiguous
        counts.unread += len(solution.unread)
        before = count(solution.whole)
        counts.tokens_before += before
        writer = RecordWriter(id_, item.number - 1, read.source, solution, read.family)
        context = WriteContext(
            seed=f"{config.seed} {id_}",
            count=count,
            tokenizer=tokenizer,
            rewrites=rewrites,
            scores=scores.get(place),
        )
        for method, name, lines in outputs:
            text = compress_solution(solution, method, context)
            if not WRITERS[method.NAME].tested:
                _check(read, method, text, id_)
            after = count(text)
            counts.add_tokens(name, before, after)
            lines.append(writer.line(method, text, after, before))
    return Written(["".join(lines).encode() for _, _, lines in outputs], "".join(rejects).encode(), counts)


_Found = tuple[SourceItem, str, ReadSolution | UnreadableError, dict[str, str]]
"""An item, the id of a solution in it, what was read, and its rewrites by their format."""


def _with_rewrites(formats: Sequence[Method], found: list[_Found], rewriter: Rewriter) -> list[_Found]:
    """The same solutions with their rewrites. One without an accepted rewrite is rejected, and not rewritten again."""
    for method in formats:
        if not isinstance(method, Rewrite):
            continue
        places = [(place, one[2]) for place, one in enumerate(found) if isinstance(one[2], ReadSolution)]
        for (place, _), text in zip(places, rewriter(method, [read for _, read in places]), strict=True):
            item, id_, _, rewrites = found[place]
            if isinstance(text, UnreadableError):
                found[place] = (item, id_, text, rewrites)
            else:
                rewrites[str(method)] = text
    return found


def _scores(found: Sequence[_Found], scorer: Scorer) -> dict[int, list[TokenScore]]:
    """The position of each solution that verifies -> the tokens of its text."""
    solutions = {place: one[2] for place, one in enumerate(found) if isinstance(one[2], ReadSolution)}
    return dict(zip(solutions, scorer([read.asked() for read in solutions.values()]), strict=True))


def _check(read: ReadSolution, method: Method, text: str, name: str) -> None:
    """Raises `ValueError` if a text of a method that tests do not hold does not verify."""
    verdict = read.family.verify(read.source.question, text, read.solution.answer)
    broken = method.faithful and any(step.verdict != "valid" for step in verdict.steps)
    if verdict.answer != "correct" or broken:
        raise ValueError(f"format {method}, record {name}: the text does not verify: {text!r:.200}")
