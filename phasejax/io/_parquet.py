"""Parquet files: columns of numbers that are read in blocks, and the identifiers of their rows.

A column of lists of one length, such as an embedding, counts as so many columns. The index that pandas stored, or a
column with the name and the values of an identifier, names the rows and is not among the numbers.
"""

import re
from pathlib import Path

import numpy as np

from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.terminal import listed
from phasejax.io._frames import all_differ, whole_or_text
from phasejax.io._named import NamedRows
from phasejax.io._other_columns import OtherColumns, is_left_out, left_out_note
from phasejax.io._plain_values import column_values
from phasejax.io._row_identifiers import checked_ids, plain_ids
from phasejax.io._table import EXACT, Table, import_reader
from phasejax.io._text_header import is_id_name


def read_parquet(
    path: str | Path, *, id_column: str | None = None, column: str | None = None, name: str | None = None,
    others: OtherColumns | None = None,
) -> NamedRows:
    """The rows of a Parquet file, as a table that is read in blocks, with their identifiers.

    Args:
        path: the file.
        id_column: name of the column of identifiers; found if left out.
        column: name of a single column of numbers, or of lists of numbers, that is read alone.
        name: what errors call the file; its path if left out.
        others: columns that are no features (`no_features`).

    Returns:
        The values as a table. Nulls are NaN.

    Raises:
        ValueError: the file is damaged, pyarrow is missing, columns hold no numbers or lists of unequal length, or
            identifiers are repeated or missing.
    """
    file, name = Path(path), name or str(path)
    import_reader("pyarrow", "parquet", name)
    parquet = import_reader("pyarrow.parquet", "parquet", name)
    check_regular_file(file, name)
    with reading(name, "a complete Parquet file"), parquet.ParquetFile(file) as opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        if repeated := [called for called in schema.names if schema.names.count(called) > 1]:
            raise ValueError(f"{name}: expected columns of different names, got {repeated[0]} {len(repeated)} times")
        for wanted in (id_column, column):
            if wanted is not None and wanted not in schema.names:
                raise ValueError(f"{name}: expected one of its columns {listed(schema.names)}, got {wanted}")
        left_out = [] if column is not None or not others else _left_out(opened, schema, others)
        ids, found = _identifiers(opened, schema, id_column, column, left_out, name)
        kept = [field for field in schema if field.name == column
                or (column is None and field.name not in (*found, *left_out))]
        if not kept:
            raise ValueError(f"{name}: expected columns beside the identifiers, got {listed(found) or 'none'}")
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
    notes = [*_notes(file, rows, sum(widths), ids, found)]
    notes += [left_out_note(file.name, called, others or {}) for called in left_out]
    notes += [f"{file.name}: column {field.name} is read as data, though its name is that of an identifier"
              for field in kept if column is None and len(kept) > 1 and is_id_name(field.name, surely=True)]
    whole = all(_is_whole(field.type) for field in kept)
    return NamedRows(Table(name, (rows, sum(widths)), dtype, reader.read), ids, tuple(names), tuple(notes), whole)


def _notes(file, rows, width, ids, found):
    """What was read, and which columns of identifiers were left out."""
    named = f", id {found[0]}" if found else ", id index"
    yield f"{file.name}: {rows} rows, {width} column{'s' * (width > 1)}" + ("" if ids is None else named)
    for other in found[1:]:
        if not (named == ", id index" and other.startswith("__index_level_")):
            yield f"{file.name}: column {other} is left out, which holds identifiers"


def _is_numeric(kind):
    import pyarrow as pa

    return (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or _is_list(kind)
            or pa.types.is_decimal(kind))


def _is_whole(kind):
    import pyarrow as pa

    return pa.types.is_integer(kind)


def _left_out(opened, schema, others):
    """The columns that labels or groups were taken from, where these cannot be features."""
    found = [field.name for field in schema if field.name in others and is_left_out(
        field.name, others, numeric=_is_numeric(field.type),
        repeats=not all_differ(opened.read([field.name]).column(field.name).to_pandas()))]
    return found if len(found) < len(schema.names) else []


def _identifiers(opened, schema, given, asked, left_out, name):
    """Identifiers of the rows, and the names of the columns that hold identifiers, theirs first."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    stored = [level for level in index if isinstance(level, str) and level in schema.names]
    levels, stored = (stored, []) if len(stored) > 1 else ([], stored)
    candidates = [given] if given else []
    candidates += [level for level in stored if level not in candidates]
    candidates += [
        field.name
        for field in schema
        if field.name not in (*candidates, *levels, *left_out) and is_id_name(field.name)
        and _is_id_type(field.type, is_id_name(field.name, surely=True))
    ]
    found: list[tuple[str, np.ndarray]] = []
    repeats: list[tuple[str, np.ndarray]] = []
    for column in candidates:
        if column == asked and column != given:
            continue
        values = opened.read([column]).column(column).to_pandas()
        sure = column in (given, *stored) or is_id_name(column, surely=True)
        if column not in (given, *stored) and not whole_or_text(values.dropna(), floats=sure):
            continue
        missing = int(values.isna().sum())
        repeated = missing or not values.is_unique
        if repeated and sure and asked is None:
            got = f"{missing} without" if missing else "repeated ones"
            raise ValueError(f"{name}: expected an identifier of each row in column {column}, got {got}")
        if not repeated and (sure or len(values) > 1):
            found.append((column, checked_ids(values.to_numpy(), name)))
        elif repeated and sure:  # refused where rows are matched by them
            repeats.append((column, values.astype(object).where(values.notna(), "").to_numpy().astype(str)))
    if levels and given is None:
        index_of_levels = opened.read(levels).to_pandas(ignore_metadata=True).set_index(levels).index
        return checked_ids(plain_ids(index_of_levels), name), ["index", *levels, *(column for column, _ in found)]
    if repeats and not found:
        return repeats[0][1], [column for column, _ in repeats]
    if not found:
        return _counted(index, opened.metadata.num_rows), levels
    named = [place for place, (column, _) in enumerate(found) if is_id_name(column, surely=True)]
    if not given and named and re.fullmatch(r"__index_level_\d+__", found[0][0]):
        found.insert(0, found.pop(named[0]))  # an index without a name may be what rows were numbered by long ago
    return found[0][1], [column for column, _ in found] + levels


def _counted(index, rows):
    """The identifiers that a RangeIndex of pandas stands for, such as 5 to 24; None for the default one."""
    if len(index) != 1 or not isinstance(index[0], dict) or index[0].get("kind") != "range":
        return None
    start, step = index[0]["start"], index[0]["step"]
    return None if (start, step) == (0, 1) else np.arange(rows, dtype=np.int64) * step + start


def _is_id_type(kind, surely=False):
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind) or pa.types.is_binary(kind)
            or (surely and (pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind))))


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
    if _is_list(kind) or not _is_numeric(kind):
        got = "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
        raise ValueError(f"{name}: expected numbers in every column, got {got} in column {column.name}")
    if pa.types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype())
    if pa.types.is_decimal(kind):
        return np.dtype(float)
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
                if pa.types.is_integer(column.type) and pa.types.is_floating(target):
                    _check_exact(column, name)
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


def _check_exact(column, name):
    """Refuse whole numbers that a float64 does not hold."""
    compute = import_reader("pyarrow.compute", "parquet", name)
    ends = compute.min_max(column).as_py()
    if ends["min"] is not None and max(-ends["min"], ends["max"]) > EXACT:
        raise ValueError(f"numbers that float64 does not hold exactly in column {name}, up to {ends['max']} "
                         "(identifiers? then name the column id)")


def _numbers_of_lists(column, width, name):
    """The numbers in lists of one length, one list after the other."""
    compute = import_reader("pyarrow.compute", "parquet", name)  # its functions are made at run time

    lengths = compute.list_value_length(column)
    if column.null_count or not compute.all(compute.equal(lengths, width)).as_py():
        got = "missing ones" if column.null_count else f"some of {compute.min(lengths)} to {compute.max(lengths)}"
        raise ValueError(f"lists in column {name} that are not all of {width} numbers, but {got}")
    return column.flatten()
