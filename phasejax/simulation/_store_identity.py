"""What a folder says of the sweep it holds: whether it is a store, of which sweep, how that differs from another.

The identity in the journal decides. Only where it is lost do attributes and names tell whether a folder is a store at
all, and they are not believed in anything else.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phasejax.simulation._chunk_writer import RUN_FOLDER, plain
from phasejax.simulation._journal import Journal
from phasejax.simulation._store import COMPUTED_ON, DatasetTemplate

FORMAT = 1  # of what the identity holds and the journal looks like
# In `DatasetTemplate.origin`, before the name of a quantity: what tells the function that computes it from others.
OF_FUNCTION = "function of "
_VERSION = "phasejax_version"  # an attribute of every store
# An attribute of the stores that earlier versions made, which have no checksums.
_EARLIER = "phasejax_sweep"


def is_there(root: Path) -> bool:
    """Whether a folder holds anything; an error where there is a file."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        if root.exists():
            raise ValueError(f"store: expected a folder, got the file {root}") from None
        return False


def read_journal(path: Path, root: Path) -> Journal:
    """The journal of the store in a folder.

    Raises:
        ValueError: a folder that is no store of this version, or whose identity is lost.
    """
    journal = Journal.read(root)
    if journal is not None and journal.about.get("format") == FORMAT:
        return journal
    if journal is not None:
        raise ValueError(f"store: expected one of format {FORMAT}, got {path} of format {journal.about.get('format')}")
    if _EARLIER in (_attributes(root) or ()):
        raise ValueError(f"store: expected one with checksums, got {path} of an earlier version, which has none (read "
                         "it with xarray.open_zarr, or remove it to compute the sweep anew)")
    if (root / RUN_FOLDER).exists() or _VERSION in (_attributes(root) or ()):
        raise ValueError(f"store: expected a store that says which sweep it belongs to, got {path}, where the files in "
                         f"{RUN_FOLDER} are damaged or missing (the same sweep with this store begins anew, and keeps "
                         "what is there beside it)")
    raise ValueError(f"store: expected a new folder or one that a sweep made, got {path}")


def _attributes(root: Path) -> dict[str, Any] | None:
    """The attributes of a Zarr group, as its file says; None where it cannot be read."""
    try:
        found = json.loads((root / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        return found if isinstance(found, dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def lost_its_identity(root: Path, template: DatasetTemplate) -> bool:
    """Whether a folder is a sweep's store, of this version, that does not know any more which sweep it belongs to."""
    attributes = _attributes(root)
    if Journal.read(root) is not None or _EARLIER in (attributes or ()):
        return False
    if (root / RUN_FOLDER).exists() or _VERSION in (attributes or ()):
        return True
    # Of a store that lost more than that, whatever is left has the name of something that this sweep would write.
    expected = {"zarr.json", RUN_FOLDER.parts[0], *template.variables, *template.coords}
    return attributes is None and all(name in expected for name in os.listdir(root))


def other_sweep(root: Path, template: DatasetTemplate) -> str:
    """The first attribute in which a store whose identity is lost differs from the sweep to come; empty if none."""
    found = _attributes(root)
    return "" if found is None else _different_attribute(found, template)


def _different_attribute(found: Mapping[Any, Any], template: DatasetTemplate) -> str:
    for name, value in plain(template.attrs).items():
        if name != COMPUTED_ON and found.get(name) != value:
            return f"{name} is {found.get(name)} there, {value} here"
    return ""


def difference(root: Path, journal: Journal, template: DatasetTemplate) -> str:
    """The first thing in which a stored sweep differs from the one to come, in words; empty if nothing does."""
    found = xr.open_zarr(root, chunks=None, consolidated=False)
    if different := _different_attribute(found.attrs, template):
        return different
    wanted = template.dataset({}).coords
    for name in sorted({*wanted, *found.coords}, key=str):
        if name not in wanted or name not in found.coords or not np.array_equal(
                wanted[name], found.coords[name], equal_nan=True):
            return f"axis {name} is {_summary(found.coords.get(name))} there, {_summary(wanted.get(name))} here"
    if set(found.data_vars) != set(template.variables):
        there, here = sorted(map(str, found.data_vars)), sorted(template.variables)
        return f"quantities are {', '.join(there)} there, {', '.join(here)} here"
    for name, variable in template.variables.items():
        there, here = (found[name].dims, found[name].shape), (variable.dims, variable.shape)
        if there != here or found[name].dtype != variable.dtype:
            return (f"{name} has dimensions {_sizes(*there)} and type {found[name].dtype} there, "
                    f"{_sizes(*here)} and {variable.dtype} here")
    there, here = journal.about["origin"], template.origin
    different = [name for name in here if there.get(name) != here[name]]
    for name in different:
        if not name.startswith(OF_FUNCTION):
            return f"{name} is {there.get(name, 'none')} there, {here[name]} here"
    names = [name.removeprefix(OF_FUNCTION) for name in different]
    return f"the model or the functions of {', '.join(names)} compute something else there" if names else ""


def _sizes(dims: tuple, shape: tuple[int, ...]) -> str:
    return " x ".join(f"{dim} {length}" for dim, length in zip(dims, shape, strict=True)) or "none"


def _summary(axis: xr.DataArray | None) -> str:
    if axis is None:
        return "missing"
    values = np.atleast_1d(axis.values)
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
