"""Parquet: the optional import of pyarrow, and rows in bounded memory.

A Parquet file of a thousand bytes can state gigabytes: one dictionary value for a thousand rows, a list of millions of
equal items, a page of zeros. So only the named columns are read, in batches that no value of the row group can make
large, and a file that states far more than a table of text does is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

BATCH_BYTES = 1 << 25
"""Bytes that a batch can take at most, unless a single row takes more."""
BATCH_ROWS = 1024
"""Rows of a batch, at most."""
MAX_ITEMS = 1000
"""Mean items of a row's lists, in a column of more than a million items."""
MAX_RATIO = 200
"""Compression of a column of more than 64 MiB. Real text reaches about 10."""
MAX_ROWS_PER_BYTE = 100
"""Rows of a file of more than a million rows. Records that differ need more than a byte each."""


class BadRow(NamedTuple):
    """A row with text that is not UTF-8."""

    reason: str
    """Which column, and what is wrong."""
    cells: dict[str, Any]
    """The row. Bytes that are not UTF-8 are surrogates in it, as `errors="surrogateescape"` decodes them."""


def import_parquet() -> Any:
    """The module `pyarrow.parquet`. Raises `ValueError` with what to install if it is missing."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ValueError("Parquet files need pyarrow; install zipthought[parquet], or use JSON Lines") from error
    return parquet


def read_rows(path: Path, columns: Collection[str] = ()) -> Iterator[dict[str, Any] | BadRow]:
    """The rows of a Parquet file, one after the other: of those `columns` that it has, or of all where none is named.

    Raises `OSError` for a file that cannot be opened, and `ValueError` where pyarrow is missing, for a file that is not
    Parquet or is damaged, and for one that has none of the columns or needs far more memory than its size.
    """
    parquet = import_parquet()
    import pyarrow

    with path.open("rb") as file:
        try:
            table = parquet.ParquetFile(file)
            chosen = chosen_columns(path, table.schema_arrow.names, columns)
            rows, size = table.metadata.num_rows, path.stat().st_size
            if rows > max(1_000_000, MAX_ROWS_PER_BYTE * size):
                raise ValueError(f"{path} states {rows:,} rows in {size:,} bytes; write it anew with its real rows")
            for group in range(table.num_row_groups):
                size = _batch_size(path, table.metadata.row_group(group), chosen)
                for batch in table.iter_batches(batch_size=size, row_groups=[group], columns=chosen):
                    yield from rows_of(batch)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a Parquet file, or is damaged: {error}") from error


def chosen_columns(path: Path, names: list[str], columns: Collection[str]) -> list[str]:
    """The `names` that are among `columns`, or all where none is named. Raises `ValueError` where none is left."""
    chosen = [name for name in names if name in columns] if columns else names
    if len(set(chosen)) < len(chosen):
        twice, _ = Counter(chosen).most_common(1)[0]
        raise ValueError(f"{path} has two columns {twice!r}; rename one")
    if not chosen:
        shown = ", ".join(names) or "none"
        raise ValueError(f"{path} has none of the columns {', '.join(columns)}; it has {shown:.300}")
    return chosen


def _batch_size(path: Path, group: Any, columns: list[str]) -> int:
    """The rows that a batch of a row group may have. Raises `ValueError` for a column that states far too much."""
    total = 1
    for index in range(group.num_columns):
        column = group.column(index)
        name, size, items = column.path_in_schema, column.total_uncompressed_size, column.num_values
        if not f"{name}.".startswith(tuple(f"{top}." for top in columns)):
            continue
        if items > max(1_000_000, MAX_ITEMS * group.num_rows):
            raise ValueError(f"{path}: column {name!r} states {items:,} values in {group.num_rows:,} rows; remove it")
        if size > 1 << 26 and size > MAX_RATIO * column.total_compressed_size:
            compressed = column.total_compressed_size
            raise ValueError(f"{path}: column {name!r} states {size:,} bytes in {compressed:,} compressed; remove it")
        total += size  # One dictionary value may have all of it, and every row may show it.
    return max(1, min(BATCH_ROWS, BATCH_BYTES // total))


def rows_of(batch: Any) -> Iterator[dict[str, Any] | BadRow]:
    """The rows of an Arrow batch. What Python cannot represent, such as nanoseconds, is text."""
    import pyarrow

    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError, pyarrow.ArrowException):  # Not UTF-8, nanoseconds. Which rows have them?
        pass
    for index in range(batch.num_rows):
        bad: list[str] = []
        row: dict[str, Any] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            found = len(bad)
            row[name] = _value(column[index], bad)
            bad[found:] = [f"column {name!r}: {reason}" for reason in bad[found:]]
        yield BadRow(bad[0], row) if bad else row


def _value(cell: Any, bad: list[str]) -> Any:
    """The value of an Arrow cell. What is wrong with it is added to `bad`."""
    import pyarrow
    from pyarrow import types

    if not cell.is_valid:
        return None
    if types.is_struct(cell.type):
        names = [field.name for field in cell.type]
        if len(set(names)) < len(names):
            raise ValueError(f"a Parquet column has two fields of one name: {', '.join(names)}; rename one")
        return {name: _value(item, bad) for name, item in cell.items()}
    if types.is_list(cell.type) or types.is_large_list(cell.type) or types.is_fixed_size_list(cell.type):
        return [_value(item, bad) for item in cell.values]
    if types.is_string(cell.type) or types.is_large_string(cell.type):
        text = cell.as_buffer().to_pybytes()
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            bad.append(f"not UTF-8 (byte {error.start + 1})")
            return text.decode(errors="surrogateescape")
    for convert in (cell.as_py, lambda: str(cell.cast("string")), lambda: str(cell.cast("int64"))):
        with suppress(ValueError, OverflowError, pyarrow.ArrowException):
            return convert()
    bad.append(f"a value of {cell.type} that Python cannot read")
    return None
