"""What the numbers of an array in a file stand for: packed by the CF convention, beneath a mask, or equal to a fill.

HDF5, NetCDF and Zarr store attributes beside an array: `_FillValue` and `missing_value` are written where a value is
missing, numbers outside of `valid_range` are missing too, and the others stand for themselves times `scale_factor` plus
`add_offset`. A boolean array NAME_mask beside NAME, or mask beside data, is True where a value is missing.
"""

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phasejax.io._table import NUMBERS, Table

_FILLS = ("_FillValue", "missing_value")


@dataclass(frozen=True, eq=False)
class Packing:
    """How the numbers of an array are to be read.

    Args:
        fills: numbers that stand for missing values.
        low, high: ends of the valid numbers.
        scale, offset: what the others are multiplied by, and what is then added.
        dtype: of the numbers that come out.
        stored: of those that are stored.
        words: what is said about it.
    """

    fills: np.ndarray
    low: float
    high: float
    scale: float
    offset: float
    dtype: np.dtype
    stored: np.dtype
    words: tuple[str, ...]

    def unpacked(self, block: np.ndarray) -> np.ndarray:
        """The numbers that a block stands for, NaN where they are missing."""
        block = block.astype(self.stored, copy=False)
        with np.errstate(invalid="ignore"):
            gone = np.isin(block, self.fills) | (block < self.low) | (block > self.high)
        numbers = block.astype(self.dtype)
        if self.scale != 1 or self.offset != 0:
            numbers = (numbers.astype(float) * self.scale + self.offset).astype(self.dtype)
        return np.where(gone, self.dtype.type(np.nan), numbers)


def find_packing(attributes: Mapping[str, Any], dtype: np.dtype, fill: Any = None) -> Packing | None:
    """How numbers of a type are to be read that have these attributes; None where they stand for themselves.

    Args:
        attributes: of the array.
        dtype: of its numbers.
        fill: a number that stands for a missing value beside those that attributes name; None without.

    Raises:
        ValueError: an attribute that should be a number is none.

    >>> packing = find_packing({"_FillValue": -99, "scale_factor": 0.5}, np.dtype("i2"))
    >>> packing.unpacked(np.array([3, -99], "i2")).tolist()
    [1.5, nan]
    """
    if dtype.kind not in NUMBERS or dtype.kind == "b":
        return None
    unsigned = dtype.kind == "i" and str(_plain(attributes.get("_Unsigned", ""))).lower() == "true"
    stored = np.dtype(f"u{dtype.itemsize}") if unsigned else dtype.newbyteorder("=")
    named = {key: _numbers(attributes[key], key) for key in _FILLS if key in attributes}
    if fill is not None:
        named["_FillValue"] = _numbers(fill, "_FillValue")
    fills = _of_type(np.concatenate([np.empty(0), *named.values()]), stored, unsigned)
    fills = fills[~np.isnan(fills)] if stored.kind == "f" else fills
    low, high = (_numbers(attributes[key], key)[0] if key in attributes else end
                 for key, end in (("valid_min", -np.inf), ("valid_max", np.inf)))
    if "valid_range" in attributes and len(ends := _numbers(attributes["valid_range"], "valid_range")) == 2:
        low, high = ends
    scale, offset = (_numbers(attributes[key], key)[0] if key in attributes else usual
                     for key, usual in (("scale_factor", 1.0), ("add_offset", 0.0)))
    words = [f"numbers equal to {' and '.join(named)} ({', '.join(f'{number:g}' for number in fills)}) are missing"] \
        if fills.size else []
    words += [f"numbers outside of {low:g} to {high:g} are missing"] if np.isfinite([low, high]).any() else []
    words += [f"numbers are multiplied by scale_factor {scale:g}, and add_offset {offset:g} is added"] \
        if scale != 1 or offset != 0 else []
    if not words and not unsigned:
        return None
    brief = [np.asarray(attributes[key]).dtype for key in ("scale_factor", "add_offset") if key in attributes]
    return Packing(fills, float(low), float(high), float(scale), float(offset),
                   np.result_type(stored, np.float32, *(kind for kind in brief if kind.kind == "f")), stored,
                   tuple(words))


def _plain(value):
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode() if isinstance(value, bytes) else value


def _numbers(value, key):
    """The numbers in an attribute; those that xarray writes as text into Zarr are eight bytes in base64."""
    value = _plain(value)
    if isinstance(value, str):
        try:
            return np.array([float(value)])
        except ValueError:
            pass
        try:
            return np.array(struct.unpack("<d", base64.standard_b64decode(value)))
        except (ValueError, struct.error):
            raise ValueError(f"expected a number as its attribute {key}, got {value[:40]}") from None
    numbers = np.ravel(np.asarray(value))
    if numbers.dtype.kind not in NUMBERS or not numbers.size:
        raise ValueError(f"expected a number as its attribute {key}, got {str(value)[:40]}")
    return numbers


def _of_type(fills, stored, unsigned):
    """Fills as the numbers of an array can be: digits that its type lacks cannot be in it."""
    if stored.kind == "f":
        with np.errstate(over="ignore"):
            return fills.astype(stored)
    whole = [int(number) for number in fills.tolist() if np.isfinite(number) and number == int(number)]
    whole = [number % 2 ** (8 * stored.itemsize) if unsigned else number for number in whole]
    ends = np.iinfo(stored)
    return np.array([number for number in whole if ends.min <= number <= ends.max], stored)


def unpacked(table: Table, packing: Packing | None, mask: Callable[[int, int], np.ndarray] | None) -> Table:
    """A table whose rows are read as what they stand for.

    Args:
        table: of the numbers as they are stored.
        packing: how they are to be read; None where they stand for themselves.
        mask: rows of the mask, True where a value is missing; None without.
    """
    if packing is None and mask is None:
        return table
    dtype = np.result_type(table.dtype, np.float32) if packing is None else packing.dtype

    def read(start, stop):
        block = table.read(start, stop)
        block = block.astype(dtype) if packing is None else packing.unpacked(block)
        return block if mask is None else np.where(mask(start, stop), dtype.type(np.nan), block)

    return replace(table, dtype=dtype, read=read)


def mask_beside(path: str) -> str:
    """The path of the mask of an array, as `numpy.savez` of both would name it.

    >>> mask_beside("views/x"), mask_beside("views/x_data"), mask_beside("data")
    ('views/x_mask', 'views/x_mask', 'mask')
    """
    folder, _, name = path.rpartition("/")
    found = "mask" if name == "data" else f"{name.removesuffix('_data')}_mask"
    return f"{folder}/{found}" if folder else found


def is_mask(array: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array of a file is a mask of one of this shape: boolean, or stored as bytes that are declared so."""
    declared = array.dtype.kind in "iu" and array.dtype.itemsize == 1 and _plain(array.attrs.get("dtype", "")) == "bool"
    return (array.dtype.kind == "b" or declared) and tuple(array.shape) == tuple(shape)
