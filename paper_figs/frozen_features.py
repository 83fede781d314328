"""The pairs of frozen features that a folder has: stars and cells in the published layouts, or the cells that ship."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from phasejax._core.terminal import listed
from phasejax.datasets import load_pbmc_cite
from phasejax.io import PairedFeatures, read_cite_seq, read_star_features
from phasejax.io._star_catalogues import AGE, BINARITY, find_catalogue
from phasejax.io._star_features import INSTRUMENTS

# Table 1's targets of stars, and what they are called in figures.
STAR_TARGETS = {"binarity": "binarity", "logg": "log g", "age": "age"}
_TITLES = {"kepler": "LAMOST \u00d7 Kepler", "tess": "LAMOST \u00d7 TESS", "cells": "RNA \u00d7 protein",
           "pbmc": "RNA \u00d7 protein, blood cells"}
# An embedding of the RNA that takes the place of genes where it lies beside the cells.
_EMBEDDING = "rna_embeddings_scgpt.npy"
_SHARES = (0.6, 0.2)  # of the shipped cells, to train and to validate on
_LEAST_CELLS = 20


class Pair(NamedTuple):
    """A pair of views that can be read.

    Args:
        name: "kepler", "tess", "cells" or "pbmc".
        path: folder or file; None of what ships.
        root: the folder that was given.
    """

    name: str
    path: Path | None = None
    root: Path | None = None

    @property
    def title(self) -> str:
        """What figures call it."""
        return _TITLES[self.name]

    @property
    def state(self) -> str:
        """Text that changes with the files."""
        if self.path is None:
            return "shipped"
        files = sorted({*self.path.glob("*")} | {*self._tables().values()}) if self.path.is_dir() else [self.path]
        return "; ".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file())

    def _tables(self) -> dict[str, Path]:
        """Tables of ages and binarity, the nearest to the features."""
        if self.path is None or self.root is None:
            return {}
        above = [one for one in (self.path, *self.path.parents) if one == self.root or self.root in one.parents]
        folders = [*above, *sorted({file.parent for file in self.root.rglob("*.csv")} - set(above))]
        found = {"ages": find_catalogue(folders, AGE), "binarity": find_catalogue(folders, BINARITY)}
        return {name: path for name, path in found.items() if path is not None}

    def load(self) -> PairedFeatures:
        """The features with their targets.

        Raises:
            ValueError: in one line, that names a file.
        """
        if self.path is None:
            return _shipped()
        if self.name == "cells":
            rna = self.path.parent / _EMBEDDING
            return read_cite_seq(self.path, rna=rna if rna.exists() else None)
        tables = self._tables()
        found = read_star_features(self.path, self.name, **tables)
        if not set(found.targets) & set(STAR_TARGETS):
            raise ValueError(f"{self.path}: expected a value of log g, age or binarity in some row, got none")
        return found


def pairs_in(folder: Path | None) -> list[Pair]:
    """The pairs that a folder and those in it have; the shipped one without a folder.

    Raises:
        ValueError: in one line: there is no such folder, none or several of one kind are in it.
    """
    if folder is None:
        return [Pair("pbmc")]
    if not folder.is_dir():
        raise ValueError(f"--data {folder}: expected a folder, got {'a file' if folder.exists() else 'none'}")
    found = list(_found(folder))
    if not found:
        raise ValueError(f"--data {folder}: expected z_lamost_train.npy with z_kepler_train.npy or z_tess_train.npy, "
                         "or an .h5ad file, got neither")
    for name in dict.fromkeys(pair.name for pair in found):
        if len(of_name := [pair for pair in found if pair.name == name]) > 1:
            raise ValueError(f"--data {folder}: expected features of one pair {of_name[0].title}, got "
                             f"{listed(pair.path for pair in of_name)}")
    return found


def _found(folder: Path) -> Iterator[Pair]:
    folders = sorted({path.parent for pattern in ("z_*_*.npy", "meta_*.parquet") for path in folder.rglob(pattern)})
    for one in folders:
        names = [name for name in INSTRUMENTS if any(one.glob(f"z_{name}_*.npy"))]
        if not names and any(one.glob("z_lamost_*.npy")):
            raise ValueError(f"{one}: expected z_kepler_train.npy or z_tess_train.npy beside the spectra, got neither")
        yield from (Pair(name, one, folder) for name in names)
    yield from (Pair("cells", path, folder) for path in sorted(folder.rglob("*.h5ad")))


def _shipped() -> PairedFeatures:
    """The cells that come with the package, of types of 20 or more; batches are too few to be held out."""
    cells = load_pbmc_cite()
    names, counts = np.unique(cells.labels, return_counts=True)
    kept = np.isin(cells.labels, names[counts >= _LEAST_CELLS])
    x, y, labels, batch = (np.asarray(values)[kept] for values in cells)
    n, rare = len(x), names[counts < _LEAST_CELLS]
    order = np.random.default_rng(0).permutation(n)
    order = order[np.argsort(labels[order], kind="stable")]  # every type in every part
    place = np.empty(n)
    place[order] = np.arange(n) * 0.61803398875 % 1  # spread evenly over [0, 1) along each type
    split = np.where(place < _SHARES[0], "train", np.where(place < sum(_SHARES), "validation", "test"))
    return PairedFeatures(
        x=x, y=y, names=("RNA", "protein"), targets={"cell_type": labels}, nuisance={"batch": batch},
        label_kind={"cell_type": "class", "batch": "class"}, groups=np.arange(n), split=split, ids={},
        notes=(f"{len(rare)} types of fewer than {_LEAST_CELLS} cells left out: {listed(rare)}",))
