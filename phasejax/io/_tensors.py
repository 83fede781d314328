"""Files of tensors: .safetensors, and .pt as PyTorch saves them, of which nothing but tensors is ever unpickled."""

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.input_files import check_memory, check_regular_file, reading
from phasejax.io._identifiers_beside import identifiers_beside
from phasejax.io._named import NamedRows, of_torch
from phasejax.io._plain_values import plain_values
from phasejax.io._table import Table, choose_member, import_reader, table_of_rows

TENSOR_ENDINGS = (".safetensors", ".pt", ".pth")
BFLOAT16_NOTE = "stored in bfloat16, which keeps 2 to 3 digits"
_PATH = re.compile(rf"(.*(?:{'|'.join(map(re.escape, TENSOR_ENDINGS))}))(?::(.+))?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _Stored:
    """A tensor in a file: its shape, the type of its rows and how they are read, and whether they were bfloat16.

    Its name, the shapes of all tensors of the file, and how another one is read, are there where it has several.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray]
    brief: bool
    member: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    read_other: Callable[[str], np.ndarray] = lambda _: np.empty(0)


def split_tensor_path(path: str) -> tuple[str, str | None] | None:
    """The file and the tensor that FILE.safetensors:NAME or FILE.pt:NAME names; None where it is no file of tensors.

    >>> split_tensor_path("clip.safetensors:text.embedding")
    ('clip.safetensors', 'text.embedding')
    """
    match = _PATH.fullmatch(path)
    return None if match is None else (match[1], match[2])


def open_tensors(file: Path, member: str | None, name: str, flatten: bool = False) -> Table:
    """A tensor as a table whose rows are read when they are asked for; of .pt files the tensor is read whole.

    Raises:
        ValueError: the file is damaged or holds other objects than tensors, what reads it is not installed, or there is
            no such tensor.
    """
    stored = _stored(file, member, name)
    return table_of_rows(name, stored.shape, stored.dtype, stored.read, flatten=flatten)


def named_tensors(path: str, flatten: bool = False) -> NamedRows:
    """A tensor of any number of dimensions, and a note where it was stored in bfloat16.

    Raises:
        ValueError: as `open_tensors`.
    """
    name, member = split_tensor_path(path) or (path, None)
    file = Path(name)
    check_regular_file(file, path)
    stored = _stored(file, member, path)
    notes = (f"{file.name}: {BFLOAT16_NOTE}",) if stored.brief else ()
    ids, of_ids = identifiers_beside(stored.member, stored.shapes, stored.read_other, path) \
        if stored.member in stored.shapes and stored.shape else (None, ())
    notes = (*notes, *of_ids)
    if len(stored.shape) == 1:
        return NamedRows(plain_values(stored.read(0, stored.shape[0]), path), ids, notes=notes)
    return NamedRows(table_of_rows(path, stored.shape, stored.dtype, stored.read, flatten=flatten), ids, notes=notes)


def _stored(file, member, name):
    return (_in_safetensors if file.suffix.lower() == ".safetensors" else _of_torch_file)(file, member, name)


def _in_safetensors(file, member, name):
    reader = import_reader("safetensors", "safetensors", name)
    with reading(name, "a complete .safetensors file"), reader.safe_open(file, framework="numpy") as opened:
        key = choose_member(name, "tensor", "tensors", member, opened.keys())
        stored: Any = opened.get_slice(key)
        shape = tuple(stored.get_shape())
        with reading(name, "numbers"):  # of a type that NumPy knows
            first = np.asarray(stored[:1]) if shape else np.empty(0)
        shapes = {other: tuple(opened.get_slice(other).get_shape()) for other in opened.keys()}  # noqa: SIM118

    def read(start, stop):
        with reader.safe_open(file, framework="numpy") as opened:
            return _widened(np.asarray(opened.get_slice(key)[start:stop]))

    def read_other(other):
        with reading(name, "numbers"), reader.safe_open(file, framework="numpy") as opened:
            return np.asarray(opened.get_tensor(other))

    return _Stored(shape, _widened(first).dtype, read, first.dtype.name == "bfloat16", key, shapes, read_other)


def _of_torch_file(file, member, name):
    try:
        torch = import_reader("torch", "torch", name)
    except ValueError:
        raise ValueError(f"{name}: expected PyTorch to read it with, got none installed: pip install torch, or save it "
                         "as .safetensors or .npy") from None
    if zipfile.is_zipfile(file):
        with reading(name, "a complete file of PyTorch"), zipfile.ZipFile(file) as archive:
            check_memory(name, sum(entry.file_size for entry in archive.infolist()))
    tensors: dict[str, Any] = {}
    with reading(name, "a file of tensors alone, as torch.save writes it"):
        found = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(found, Mapping):
        tensors = {str(key): value for key, value in found.items() if hasattr(value, "detach")}
        member = choose_member(name, "tensor", "tensors", member, tensors)
        found = tensors[member]
    elif not hasattr(found, "detach"):
        raise ValueError(f"{name}: expected a tensor, or tensors by name, got a {type(found).__name__}")
    elif member is not None:
        raise ValueError(f"{name}: expected {file} alone, since it is a single tensor, got the name {member}")
    values = of_torch(found)
    return _Stored(values.shape, values.dtype, lambda start, stop: values[start:stop],
                   str(found.dtype) == "torch.bfloat16", member or "",
                   {other: tuple(getattr(value, "shape", ())) for other, value in tensors.items()},
                   lambda other: of_torch(tensors[other]))


def _widened(values):
    """bfloat16 as float32, which holds all of its values."""
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values
