"""Parquet files row by row. pyarrow is imported only when a Parquet file is read: it takes 60 MiB."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tweetbot_trainer.sources.limits import (
    MAX_COMPRESSION_RATIO,
    MAX_FIELD_CHARACTERS,
    MAX_STREAM_BYTES,
    RATIO_SLACK_BYTES,
    unreadable,
)

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

PARQUET_MAGIC: Final = b"PAR1"
_ROWS_AT_ONCE = 512
_MAX_COLUMNS = 1_000
_MAX_METADATA_BYTES = 16 * 1024**2


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row by column, with its place."""
    import pyarrow as pa

    try:
        with _opened(path) as file:
            number = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
                _check_texts(batch, path.name)
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path.name} row {number}", row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        problem = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise unreadable(path.name, f"is not a sound Parquet file: {problem}") from None


def _opened(path: Path) -> "ParquetFile":
    """Open the file after checking what it says of its sizes.

    Texts stay as indices into their dictionary where the file has them so: one long text could stand in a million rows.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    limits: dict[str, Any] = {
        "thrift_string_size_limit": _MAX_METADATA_BYTES,
        "thrift_container_size_limit": _MAX_METADATA_BYTES // 16,
    }
    with ParquetFile(path, **limits) as file:
        schema = file.schema_arrow
        num_bytes = sum(file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups))
    if len(schema) > _MAX_COLUMNS:
        raise unreadable(path.name, f"has more than {_MAX_COLUMNS:,} columns")
    if num_bytes > min(MAX_STREAM_BYTES, MAX_COMPRESSION_RATIO * path.stat().st_size + RATIO_SLACK_BYTES):
        raise unreadable(path.name, f"is compressed more than {MAX_COMPRESSION_RATIO}:1, which no file of posts is")
    texts = [item.name for item in schema if pa.types.is_string(item.type) or pa.types.is_large_string(item.type)]
    return ParquetFile(path, read_dictionary=texts, pre_buffer=False, **limits)


def _check_texts(batch: Any, name: str) -> None:
    """Refuse texts longer than any post before they become Python objects."""
    import pyarrow as pa
    from pyarrow import compute

    for column in batch.columns:
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
            longest = compute.max(compute.binary_length(texts)).as_py() or 0
            if longest > 4 * MAX_FIELD_CHARACTERS:
                raise unreadable(name, f"holds a text longer than {4 * MAX_FIELD_CHARACTERS:,} bytes")
