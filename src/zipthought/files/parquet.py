"""pyarrow, where it is installed."""

from __future__ import annotations

from typing import Any


def import_parquet() -> Any:
    """`pyarrow.parquet`. Raises `ValueError` that says what to install where it is missing."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ValueError("Parquet files need pyarrow; install zipthought[parquet], or use JSON Lines") from error
    return parquet
