"""Parquet files: columns of numbers that are read in blocks, and the identifiers of their rows.

A column of lists of one length, such as an embedding, counts as so many columns. The index that pandas stored, or a
column with the name and the values of an identifier, names the rows and is not among the numbers.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from phasejax.io._named import NamedRows
from phasejax.io._plain_values import column_values
from phasejax.io._table import Table, first_line, import_reader
from phasejax.io._text_header import is_id_name


def read_parquet(
    path: str | Path, *, id_column: str | None = None, column: str | None = None, name: str | None = None
) -> NamedRows:
    """The rows of a Parquet file, as a table that is read in blocks, with their identifiers.

    Args:
        path: the file.
        id_column: name of the column of identifiers; found if left out.
        column: name of a single column of numbers, or of lists of numbers, that is read alone.
        name: what errors call the file; its path if left out.

    Returns:
        The values as a table. Nulls are NaN.

    Raises:
        ValueError: the file is damaged, pyarrow is missing, columns hold no numbers or lists of unequal length, or
            identifiers are repeated or missing.
    """
    file, name = Path(path), name or str(path)
    import_reader("pyarrow", "parquet", name)
    parquet = import_reader("pyarrow.parquet", "parquet", name)
    try:
        opened = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: expected a complete Parquet file, got {first_line(error)}") from None
    with opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        for wanted in (id_column, column):
            if wanted is not None and wanted not in schema.names:
                raise ValueError(f"{name}: expected one of its columns {', '.join(schema.names[:12])}, got {wanted}")
        ids, found = _identifiers(opened, schema, id_column, column, name)
        kept = [field for field in schema if field.name == column or (column is None and field.name not in found)]
        if not kept:
            raise ValueError(f"{name}: expected columns beside the identifiers, got {', '.join(found) or 'none'}")
        if column is not None and not _is_numeric(kept[0].type):
            labels = column_values(opened.read([column]).column(column).to_pandas(), name)
            return NamedRows(labels, ids, (column,), tuple(_notes(file, len(labels), 1, ids, found)))
        places = {field.name: place for place, field in enumerate(schema)}
        flat = all(not _is_list(field.type) for field in schema)  # then columns in the schema are those on disk
        types = [_numpy_type(name, field, places[field.name] if flat else None, metadata) for field in kept]
        widths = [_width(opened, field, name) for field in kept]
        dtype = np.result_type(*types)
        starts = np.cumsum([0] + [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
        rows = metadata.num_rows
    names = [
        f"{field.name}[{place}]" if _is_list(field.type) else field.name
        for field, width in zip(kept, widths, strict=True)
        for place in range(width)
    ]
    reader = _ParquetRows(file, starts, [field.name for field in kept], widths, dtype)
    notes = _notes(file, rows, sum(widths), ids, found)
    return NamedRows(Table(name, (rows, sum(widths)), dtype, reader.read), ids, tuple(names), tuple(notes))


def _notes(file, rows, width, ids, found):
    """What was read, and which columns of identifiers were left out."""
    yield f"{file.name}: {rows} rows, {width} column{'s' * (width > 1)}" + ("" if ids is None else f", id {found[0]}")
    for other in found[1:]:
        yield f"{file.name}: column {other} is left out, which holds identifiers"


def _is_numeric(kind):
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or _is_list(kind)


def _identifiers(opened, schema, given, asked, name):
    """Identifiers of the rows, and the names of the columns that hold identifiers, theirs first."""
    stored = [
        index
        for index in (schema.pandas_metadata or {}).get("index_columns", [])
        if isinstance(index, str) and index in schema.names
    ]
    candidates = [given] if given else []
    candidates += [index for index in stored if index not in candidates]
    candidates += [
        field.name
        for field in schema
        if field.name not in candidates and is_id_name(field.name) and _is_id_type(field.type)
    ]
    found: list[tuple[str, np.ndarray]] = []
    for column in candidates:
        if column == asked and column != given:
            continue
        values = opened.read([column]).column(column)
        sure = column == given or (column in stored and len(stored) == 1) or is_id_name(column, surely=True)
        if not _is_id_type(values.type):
            raise ValueError(
                f"{name}: expected identifiers, whole numbers or text, in column {column}, got {values.type}"
            )
        repeated = values.null_count or len(values.unique()) < len(values)
        if repeated and sure and asked is None:
            got = f"{values.null_count} without" if values.null_count else "repeated ones"
            raise ValueError(f"{name}: expected an identifier of each row in column {column}, got {got}")
        if column in stored or (not repeated and (sure or len(values) > 1)):
            array: Any = values.to_numpy()
            found.append((column, array.astype(np.int64) if array.dtype.kind in "iu" else array.astype(str)))
    if not found:
        return None, []
    named = [place for place, (column, _) in enumerate(found) if is_id_name(column, surely=True)]
    if not given and named and re.fullmatch(r"__index_level_\d+__", found[0][0]):
        found.insert(0, found.pop(named[0]))  # an index without a name may be what rows were numbered by long ago
    repeated = len(set(found[0][1].tolist())) < len(found[0][1])
    return None if repeated else found[0][1], [column for column, _ in found]


def _is_id_type(kind):
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list(kind):
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _width(opened, field, name):
    """How many columns a column counts as: the length of its lists, in a column of lists."""
    import pyarrow as pa

    if not _is_list(field.type):
        return 1
    if pa.types.is_fixed_size_list(field.type):
        return field.type.list_size
    first = next(opened.iter_batches(1, columns=[field.name]), None)
    if first is None or not first.num_rows or first.column(0)[0].as_py() is None:
        raise ValueError(f"{name}: expected a list in every row of column {field.name}, got none in the first")
    return len(first.column(0)[0])


def _numpy_type(name, column, place, metadata):
    import pyarrow as pa

    kind = column.type.value_type if _is_list(column.type) else column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        got = "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
        raise ValueError(f"{name}: expected numbers in every column, got {got} in column {column.name}")
    if pa.types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype())
    if place is None:
        return np.dtype(float)
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(place).statistics
        if known is None or not known.has_null_count or known.null_count:
            return np.dtype(float)  # only floats can say that a value is missing
    return np.dtype(kind.to_pandas_dtype())


class _ParquetRows:
    """Rows of a Parquet file. A read goes on where the last one ended, or else skips rows inside a row group."""

    def __init__(self, file, starts, columns, widths, dtype):
        self.file, self.starts, self.columns, self.widths, self.dtype = file, starts, columns, widths, dtype
        self._at, self._batches, self._batch = -1, iter(()), None

    def read(self, start, stop):
        import pyarrow as pa

        if start != self._at:
            self._seek(start)
        target = pa.from_numpy_dtype(self.dtype)
        block, filled = np.empty((stop - start, sum(self.widths)), self.dtype), 0
        ends = np.cumsum(self.widths)
        while filled < stop - start:
            part = self._take(stop - start - filled)
            for name, width, end in zip(self.columns, self.widths, ends, strict=True):
                column = part.column(name)
                if is_list := _is_list(column.type):
                    column = _numbers_of_lists(column, width, name)
                column = column if column.type == target else column.cast(target, safe=False)
                numbers = column.to_numpy(zero_copy_only=False)
                place = slice(end - width, end)
                block[filled : filled + part.num_rows, place] = (
                    numbers.reshape(-1, width) if is_list else numbers[:, None]
                )
            filled += part.num_rows
        self._at = stop
        return block

    def _seek(self, start):
        import pyarrow.parquet as parquet

        group = int(np.searchsorted(self.starts, start, side="right")) - 1
        # Row groups can be larger than memory. Both options are needed to read them page by page.
        opened = parquet.ParquetFile(self.file, buffer_size=2**18, pre_buffer=False)
        self._at = -1  # no place to go on from until a read succeeds
        self._batches = opened.iter_batches(2**13, row_groups=range(group, len(self.starts) - 1), columns=self.columns)
        self._batch = None
        skip = start - int(self.starts[group])
        while skip:
            skip -= self._take(skip).num_rows

    def _take(self, most):
        while self._batch is None or self._batch.num_rows == 0:
            self._batch = next(self._batches, None)
            if self._batch is None:
                raise ValueError("fewer rows than its metadata promise")
        part, self._batch = self._batch.slice(0, most), self._batch.slice(most)
        return part


def _numbers_of_lists(column, width, name):
    """The numbers in lists of one length, one list after the other."""
    compute = import_reader("pyarrow.compute", "parquet", name)  # its functions are made at run time

    lengths = compute.list_value_length(column)
    if column.null_count or not compute.all(compute.equal(lengths, width)).as_py():
        got = "missing ones" if column.null_count else f"some of {compute.min(lengths)} to {compute.max(lengths)}"
        raise ValueError(f"lists in column {name} that are not all of {width} numbers, but {got}")
    return column.flatten()
