"""A parquet file as an Arrow table, damage refused in one line. It knows no trace."""

import pyarrow as pa
import pyarrow.parquet as pq

from traces.formats.content import Content
from traces.schema import TraceError

# Arrow decodes names as UTF-8 where it meets them: ValueError is for a name that is not.
DAMAGE = (pa.ArrowException, OSError, ValueError)


def read_table(content: Content) -> pa.Table:
    """Raises TraceError where it is no parquet file, or one whose cells are not what they claim."""
    try:
        table = pq.read_table(pa.BufferReader(content.data))
        table.validate(full=True)
        return table
    except DAMAGE as error:
        raise _unreadable(content.file, error) from None


def column_names(content: Content) -> list[str]:
    """The file's columns. Raises TraceError where it is no parquet file."""
    try:
        return list(pq.read_schema(pa.BufferReader(content.data)).names)
    except DAMAGE as error:
        raise _unreadable(content.file, error) from None


def _unreadable(file: str, error: Exception) -> TraceError:
    return TraceError(f"{file}: no readable parquet: {' '.join(str(error).split())[:160]}")
