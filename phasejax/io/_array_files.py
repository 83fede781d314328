"""Arrays in HDF5, NetCDF-4 and Zarr files: as what they stand for, with the coordinates that identify their rows.

Attributes of the CF convention and a mask beside an array count (`_packed`). xarray stores the coordinates of an array
beside it: the one along its rows says which row is which, as in the DataArray that was written.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.input_files import check_memory, check_regular_file, reading
from phasejax.io._frames import all_differ
from phasejax.io._hdf5 import dense_table, open_root
from phasejax.io._identifiers_beside import identifiers_beside
from phasejax.io._named import NamedRows
from phasejax.io._packed import find_packing, is_mask, mask_beside, unpacked
from phasejax.io._plain_values import plain_values
from phasejax.io._row_identifiers import checked_ids, text_ids
from phasejax.io._table import Table, choose_member
from phasejax.io._text_header import is_id_name
from phasejax.io._zarr import zarr_arrays, zarr_table

ARRAY_ENDINGS = (".h5", ".hdf5", ".nc")
# What NetCDF writes into a dimension that has no coordinate.
_NO_COORDINATE = "This is a netCDF dimension but not a netCDF variable"


def read_array(file: Path, member: str | None, name: str, flatten: bool = False) -> NamedRows:
    """The array `member` of an HDF5, NetCDF-4 or Zarr file, or its only one, with the identifiers of its rows.

    Args:
        file: the file, or the Zarr folder.
        member: name of the array; None for the only one beside coordinates and masks.
        name: what errors call it.
        flatten: whether each image is one row.

    Returns:
        A table that is read in blocks; of an array in one dimension, which may be text, its values.

    Raises:
        ValueError: the file is damaged, its reader is missing, there is no such array, or one of its attributes should
            be a number and is none.
    """
    with _arrays(file, name) as arrays:
        path = _chosen(arrays, member, file, name)
        node = arrays[path]
        try:
            packing = find_packing(dict(node.attrs), _numpy_type(node), _fill_of_zarr(node))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        mask = arrays.get(mask_beside(path))
        mask = mask if mask is not None and is_mask(mask, node.shape) else None
        ids, of_ids = _identifiers(arrays, path, name)
        words = () if packing is None else packing.words
        words = words if mask is None else (*words, f"what {mask_beside(path)} masks is missing")
        notes = [*of_ids, *(f"{name}: {line}" for line in words)]
        if len(node.shape or ()) == 1:
            check_memory(name, math.prod(node.shape) * max(_numpy_type(node).itemsize, 1))
            with reading(name, "a readable array"):
                values, gone = node[:], None if mask is None else mask[:].astype(bool)
            values = values if packing is None else packing.unpacked(values)
            values = plain_values(values if gone is None else np.ma.masked_array(values, gone), name)
            whole = _numpy_type(node).kind in "iu" and bool(np.all((values == np.floor(values)) | np.isnan(values)))
            return NamedRows(_whole_again(values, node.dtype), ids, notes=tuple(notes), whole=whole)
        table = _table(file, arrays, path, name, flatten)
        of_mask = None
        if mask is not None:
            hidden = _table(file, arrays, mask_beside(path), name, flatten)
            of_mask = lambda start, stop: hidden.read(start, stop).astype(bool)  # noqa: E731
    return NamedRows(unpacked(table, packing, of_mask), ids, notes=tuple(notes))


@contextlib.contextmanager
def _arrays(file: Path, name: str) -> Iterator[dict[str, Any]]:
    """The arrays of a file by their paths, while it is open."""
    if file.suffix.lower() == ".zarr":
        yield zarr_arrays(file, name)
        return
    check_regular_file(file, name)
    with open(file, "rb") as stream:
        if stream.read(3) == b"CDF":
            raise ValueError(f"{name}: expected NetCDF-4, got the classic format; save it anew with format='NETCDF4'")
    with open_root(file, name, "hdf5") as root:
        found: dict[str, Any] = {}
        root.visititems(lambda path, node: found.update({path: node}) if hasattr(node, "dtype") else None)
        yield found


def _chosen(arrays, member, file, name):
    if set(arrays) == {""}:
        if member is not None:
            raise ValueError(f"{name}: expected {file} alone, since it is a single array, got the name {member}")
        return ""
    noun = "array" if file.suffix.lower() == ".zarr" else "dataset"
    if member is None:
        beside = {mask_beside(path) for path in arrays}
        beside |= {f"{path.rpartition('data')[0]}fill_value" for path in arrays if path.rpartition("/")[2] == "data"}
        for path, node in arrays.items():
            beside |= set(_coordinates(arrays, path)) if len(node.shape or ()) > 1 else set()
        data = [path for path in arrays if path not in beside]
        member = data[0] if len(data) == 1 else None
    return choose_member(name, noun, f"{noun}s", member, arrays)


def _table(file, arrays, path, name, flatten) -> Table:
    node = arrays[path]
    return zarr_table(node, file, name, flatten) if file.suffix.lower() == ".zarr" else \
        dense_table(file, node, path, name, flatten)


def _numpy_type(node):
    return node.dtype if isinstance(node.dtype, np.dtype) else np.dtype(object)


def _whole_again(values, stored):
    """Whole numbers of which none is missing as such: classes, however many they are."""
    whole = getattr(stored, "kind", "") in "iu" and values.dtype.kind == "f"
    return values.astype(np.int64) if whole and np.isfinite(values).all() and np.all(values == np.floor(values)) \
        else values


def _fill_of_zarr(node):
    """The fill value of an array that xarray wrote in the second format of Zarr, where it is the missing value."""
    metadata = getattr(node, "metadata", None)
    if getattr(metadata, "zarr_format", None) != 2 or "_ARRAY_DIMENSIONS" not in node.attrs:
        return None
    return node.fill_value


# Coordinates


def _dimensions(arrays, path):
    """Where the coordinate along each dimension of an array is, if there is one; empty where nothing says so."""
    node, folder = arrays[path], path.rpartition("/")[0]
    if hasattr(node, "metadata"):
        named = getattr(node.metadata, "dimension_names", None) or node.attrs.get("_ARRAY_DIMENSIONS", ())
        return [f"{folder}/{called}".strip("/") if called else "" for called in named]
    return [next((scale.name.strip("/") for scale in axis.values()), "") for axis in node.dims]


def _coordinates(arrays, path):
    """Paths of the coordinates of an array, those along its dimensions first."""
    folder, also = path.rpartition("/")[0], _text(arrays[path].attrs.get("coordinates", "")).split()
    found = [*_dimensions(arrays, path), *(f"{folder}/{called}".strip("/") for called in also)]
    return [place for place in dict.fromkeys(found) if place in arrays and place != path]


def _identifiers(arrays, path, name):
    """Identifiers along the rows of an array, where it has a coordinate of them, and a note about it."""
    import pandas as pd

    along = (_dimensions(arrays, path) or [""])[0]
    found = []
    for place in _coordinates(arrays, path):
        node = arrays[place]
        of_rows = tuple(node.shape or ()) == tuple(arrays[path].shape)[:1] and \
            along in (place, *_dimensions(arrays, place))
        if not of_rows or _text(node.attrs.get("NAME", "")).startswith(_NO_COORDINATE):
            continue
        with reading(name, f"a readable coordinate {place}"):
            values = _in_units(plain_values(node[:], name), node)
        if place == along:
            return text_ids(values), []
        if is_id_name(place.rpartition("/")[2]) and all_differ(pd.Series(values)):
            found.append((place, values))
    if not found and arrays[path].shape:
        shapes = {place: tuple(node.shape or ()) for place, node in arrays.items()}
        with reading(name, "readable identifiers"):
            ids, notes = identifiers_beside(path, shapes, lambda place: plain_values(arrays[place][:], name), name)
        return ids, list(notes)
    if len(found) > 1:
        raise ValueError(f"{name}: expected one coordinate of identifiers or none, got "
                         f"{' and '.join(place for place, _ in found)}; make one of them the index of the rows")
    return (None, []) if not found else (checked_ids(found[0][1], name),
                                         [f"{name}: coordinate {found[0][0]} identifies the rows"])


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _in_units(values, node):
    """Times that are counted since a date, with that date: the same number may be another day."""
    units = _text(node.attrs.get("units", ""))
    return np.array([f"{value} {units}" for value in values.tolist()]) if " since " in units else values
