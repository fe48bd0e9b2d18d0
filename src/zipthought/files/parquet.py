"""The optional import of pyarrow."""

from __future__ import annotations

from typing import Any


def import_parquet() -> Any:
    """The module `pyarrow.parquet`. Raises `ValueError` with what to install if it is missing."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ValueError("Parquet files need pyarrow; install zipthought[parquet], or use JSON Lines") from error
    return parquet
