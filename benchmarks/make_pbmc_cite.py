"""Makes `phasejax/_data/pbmc_cite.npz`, the cells of `phasejax.datasets.load_pbmc_cite`, from the package scmidas.

`pip download --no-deps scmidas==0.3.0`, unpack the wheel, and run `python -m benchmarks.make_pbmc_cite FILE`, with FILE
its `scmidas/data/quickstart_pbmc_mosaic.h5mu`. Cells with both RNA and proteins are kept, with their
counts as they are.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse

MADE = Path(__file__).parents[1] / "phasejax" / "_data" / "pbmc_cite.npz"


def make(source: Path, made: Path = MADE) -> None:
    """Write the counts, names, cell types and batches of the cells in both modalities."""
    with h5py.File(source) as file:
        rna, adt = (_modality(file["mod"][name]) for name in ("rna", "adt"))
    cells = [cell for cell in rna["cells"] if cell in set(adt["cells"])]
    places = [[of["cells"].index(cell) for cell in cells] for of in (rna, adt)]
    np.savez_compressed(
        made, rna=rna["counts"][places[0]].astype(np.uint16), protein=adt["counts"][places[1]].astype(np.uint16),
        genes=np.array(rna["names"]), proteins=np.array(adt["names"]),
        cell_type=np.array([rna["celltype"][i] for i in places[0]]),
        batch=np.array([rna["batch"][i] for i in places[0]]))


def _modality(group):
    cells, names = (_text(group[axis]["_index"]) for axis in ("obs", "var"))
    counts = scipy.sparse.csr_matrix(tuple(group["X"][part][:] for part in ("data", "indices", "indptr")),
                                     shape=(len(cells), len(names))).toarray()
    found = {"cells": cells, "names": names, "counts": counts}
    for column in ("celltype", "batch"):
        of = group["obs"][column]
        categories = _text(of["categories"])
        found[column] = [categories[code] for code in of["codes"][:]]
    return found


def _text(dataset):
    return [one.decode() for one in dataset[:]]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
