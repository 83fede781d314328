"""The pairs of frozen features that a folder has: stars and cells in the published layouts, or what ships."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from phasejax._core.terminal import listed
from phasejax.datasets import load_brown_dwarfs, load_pbmc_cite
from phasejax.io import PairedFeatures, read_cite_seq, read_star_features
from phasejax.io._star_catalogues import AGE, BINARITY, find_catalogue
from phasejax.io._star_features import INSTRUMENTS

# Table 1's targets of stars, and what they are called in figures.
STAR_TARGETS = {"binarity": "binarity", "logg": "log g", "age": "age"}
_TITLES = {"kepler": "LAMOST \u00d7 Kepler", "tess": "LAMOST \u00d7 TESS", "cells": "RNA \u00d7 protein",
           "pbmc": "RNA \u00d7 protein, blood cells", "dwarfs": "spectra \u00d7 magnitudes, brown dwarfs"}
# An embedding of the RNA that takes the place of genes where it lies beside the cells.
_EMBEDDING = "rna_embeddings_scgpt.npy"
# The table that has the KID of stars by their gaia_source_id, under its published name.
_CATALOGUE = "multimodal_catalog.parquet"
_SHARES = (0.6, 0.2)  # of what ships, to train and to validate on
_LEAST_CELLS = 20


class Pair(NamedTuple):
    """A pair of views that can be read.

    Args:
        name: "kepler", "tess" or "cells" of a folder, "pbmc" or "dwarfs" of what ships.
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
        beside = self._tables().values() if self.path.is_dir() else [self.path, self.path.parent / _EMBEDDING]
        files = sorted({*self.path.glob("*"), *beside})
        return "; ".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file())

    def _tables(self) -> dict[str, Path]:
        """Tables of ages and binarity, the nearest to the features, and of identifiers."""
        if self.path is None or self.root is None:
            return {}
        above = [one for one in (self.path, *self.path.parents) if one == self.root or self.root in one.parents]
        folders = [*above, *sorted({file.parent for file in self.root.rglob("*.csv")} - set(above))]
        found = {"ages": find_catalogue(folders, AGE), "binarity": find_catalogue(folders, BINARITY),
                 "catalogue": next(iter(sorted(self.root.rglob(_CATALOGUE))), None)}
        return {name: path for name, path in found.items() if path is not None}

    def load(self) -> PairedFeatures:
        """The features with their targets.

        Raises:
            ValueError: in one line, that names a file.
        """
        if self.path is None:
            return _SHIPPED[self.name]()
        if self.name == "cells":
            rna = self.path.parent / _EMBEDDING
            return read_cite_seq(self.path, rna=rna if rna.exists() else None)
        tables = self._tables()
        found = read_star_features(self.path, self.name, **tables)
        if not set(found.targets) & set(STAR_TARGETS):
            raise ValueError(f"{self.path}: expected a value of log g, age or binarity in some row, got none")
        return found


def pairs_in(folder: Path | None) -> list[Pair]:
    """The pairs that a folder and those in it have; those that ship without a folder.

    Raises:
        ValueError: in one line: there is no such folder, none or several of one kind are in it.
    """
    if folder is None:
        return [Pair(name) for name in _SHIPPED]
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


def _cells() -> PairedFeatures:
    """The blood cells that come with the package, of types of 20 or more; batches are too few to be held out."""
    cells = load_pbmc_cite()
    names, counts = np.unique(cells.labels, return_counts=True)
    kept = np.isin(cells.labels, names[counts >= _LEAST_CELLS])
    x, y, labels, batch = (np.asarray(values)[kept] for values in cells)
    rare, alone = names[counts < _LEAST_CELLS], np.arange(len(x))
    return PairedFeatures(
        x=x, y=y, names=("RNA", "protein"), targets={"cell_type": labels}, nuisance={"batch": batch},
        label_kind={"cell_type": "class", "batch": "class"}, groups=alone, split=_parts(labels, alone), ids={},
        notes=(f"{len(rare)} types of fewer than {_LEAST_CELLS} cells left out: {listed(rare)}",))


def _dwarfs() -> PairedFeatures:
    """The brown dwarfs that come with the package; some have several spectra, which stay in one part."""
    stars = load_brown_dwarfs()
    return PairedFeatures(
        x=stars.x, y=stars.y, names=("spectra", "magnitudes"),
        targets={"spectral_type": stars.spectral_type, "spectral_class": stars.labels}, nuisance={},
        label_kind={"spectral_type": "real", "spectral_class": "class"}, groups=stars.source,
        split=_parts(stars.labels, stars.source), ids={})


def _parts(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The part of each row, whole groups in one, with every class (that of a group's first row) spread over all."""
    _, first, of_row = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    place = np.empty(len(first))
    place[order] = np.arange(len(first)) * 0.61803398875 % 1  # spread evenly over [0, 1) along each class
    split = np.where(place < _SHARES[0], "train", np.where(place < sum(_SHARES), "validation", "test"))
    return split[of_row.reshape(-1)]


_SHIPPED = {"pbmc": _cells, "dwarfs": _dwarfs}
