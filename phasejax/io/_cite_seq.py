"""RNA and surface proteins of the same cells (CITE-seq), from the counts in an AnnData file.

Donors are held out: no donor has cells in two parts of the split, and genes are chosen on cells of the donors to train
on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from phasejax._core.checked_call import checked
from phasejax._core.input_files import reading
from phasejax._core.terminal import listed
from phasejax._core.validation import check_choice, check_count, check_path, check_seed, shown
from phasejax.io._arrays import check_finite, load_array
from phasejax.io._count_preprocessing import centred_log_ratio, highly_variable_genes, log_normalise
from phasejax.io._hdf5 import open_root
from phasejax.io._paired_features import PART_NAMES, PARTS, PairedFeatures
from phasejax.io._plain_values import column_values
from phasejax.io._readers import open_table
from phasejax.io._table import import_reader

# Names under which files call what is needed, in the order in which they are looked for.
_OF_VAR = {"feature type": ("feature_types", "feature_type", "modality")}
_OF_OBS = {"cell type": ("cell_type", "celltype", "cell_types", "CellType", "cell_type_l2", "annotation"),
           "donor": ("DonorNumber", "DonorID", "donor", "donor_id", "Donor")}
_NUISANCE = {"batch": ("batch", "Batch"), "site": ("Site", "site")}
_RNA = ("gex", "gene expression", "rna", "gene_expression")
_PROTEIN = ("adt", "antibody capture", "protein", "protein expression", "prot", "antibody_capture")
_COUNTS = ("layers/counts", "layers/raw_counts", "X", "raw/X")
# Shares of the donors to train and to validate on.
_TRAIN, _VALIDATION = 0.7, 0.15
_BLOCK, _LOOKED_AT = 2000, 100  # cells read at a time, and to see whether numbers are counts
_MISSING = ("", "nan", "none")


@checked
def read_cite_seq(file: str | Path, *, cell_type: str | None = None, donor: str | None = None,
                  split: str | Mapping[str, Sequence[Any]] | None = None, genes: int = 2000,
                  flavour: str = "seurat", rna: str | Path | None = None, least_cells: int = 20, seed: int = 42
                  ) -> PairedFeatures:
    """Read RNA and proteins of single cells from an .h5ad file of counts, with donors held out.

    The file has genes and proteins side by side: `var["feature_types"]` tells them apart (GEX or Gene Expression, ADT
    or Antibody Capture), `layers["counts"]`, else X or raw/X, holds counts, and `obs` the cell type, the donor and
    perhaps batch and site. RNA is log-normalised to 10^4 (`log_normalise`) and reduced to the genes that vary most
    among cells to train on (`highly_variable_genes`); proteins become centred log-ratios (`centred_log_ratio`).

    Args:
        file: the file.
        cell_type, donor: columns of obs; found by their usual names when left out.
        split: a column of obs that says train, validation or test, or the donors of each part by its name; when left
            out, 70 and 15 percent of the donors at random to train and to validate on, the rest to test on.
        genes: how many are kept.
        flavour: how they are chosen, "seurat" or "seurat_v3" (by scanpy).
        rna: .npy of an embedding of the RNA, such as scGPT's, of all cells of the file or of those that are kept, to
            take the place of the genes.
        least_cells: types of fewer cells are left out.
        seed: of the split.

    Returns:
        RNA as x and proteins as y, in float32; the target cell_type, donor, batch and site as nuisances, and a group
        for each donor.

    Raises:
        ValueError: in one line: no counts, no such columns, a donor in two parts, fewer than 3 donors, an embedding of
            another length.

    Source: K26, appendix, CITE-seq; the file is GSE194122 (Luecken et al., NeurIPS 2021 Datasets and Benchmarks).
    """
    check_count("genes", genes)
    check_count("least_cells", least_cells)
    check_choice("flavour", flavour, ("seurat", "seurat_v3"))
    check_seed("seed", seed)
    path = str(check_path("file", file))
    import_reader("anndata.io", "anndata", path)
    with open_root(Path(path), path, "anndata") as root, reading(path, "AnnData"):
        kinds = _column(root, path, "var", "feature type", _OF_VAR["feature type"], None)[1]
        of_type = _column(root, path, "obs", "cell type", _OF_OBS["cell type"], cell_type)[1]
        of_donor = _column(root, path, "obs", "donor", _OF_OBS["donor"], donor)[1]
        of_split = _column(root, path, "obs", "split", (), split)[1] if isinstance(split, str) else None
        nuisance = {"donor": of_donor} | {
            name: _column(root, path, "obs", name, spellings, None)[1] for name, spellings in _NUISANCE.items()
            if any(one in root["obs"] for one in spellings)}
        cells = _index(root)
        present = [one for one in _COUNTS if one in root and dict(root[one].attrs).get("encoding-type") != "null"]
    gex, adt = (_columns_of(path, kinds, names) for names in (_RNA, _PROTEIN))
    keep, notes = _cells_to_keep(path, of_type, of_donor, least_cells)
    part = _parts(path, of_donor[keep], split if of_split is None else of_split[keep], seed)
    source = _source(path, present, (len(of_type), len(kinds)))
    whole, proteins = _counts(f"{path}:{source}", gex, adt)
    if rna is None:
        normalised = log_normalise(whole[keep])
        chosen = highly_variable_genes(whole[keep][part == "train"], genes, flavour)
        x = normalised[:, chosen].toarray().astype(np.float32)
        notes.append(f"{len(chosen)} of {len(gex)} genes vary most among {np.sum(part == 'train')} cells to train on")
    else:
        x = _embedding(Path(rna), keep, len(of_type))
    return PairedFeatures(
        x=x, y=centred_log_ratio(proteins[keep]).astype(np.float32), names=("RNA", "protein"),
        targets={"cell_type": of_type[keep]}, nuisance={name: values[keep] for name, values in nuisance.items()},
        label_kind=dict.fromkeys(("cell_type", *nuisance), "class"),
        groups=np.unique(of_donor[keep], return_inverse=True)[1].reshape(-1), split=part,
        ids={} if cells is None else {"cell": cells[keep]}, notes=(f"counts from {source}", *notes))


def _column(root, path, where, what, spellings, named):
    """The name and the text of a column of obs or var; missing values are empty."""
    from anndata.io import read_elem

    group = root.get(where, {})
    found = next((one for one in spellings if one in group), None) if named is None else named
    if found is None or found not in group:
        raise ValueError(f"{path}: expected a column of {where} with the {what}"
                         f"{f' ({listed(spellings)})' if named is None else f' called {named}'}, got "
                         f"{listed(key for key in group if key != '_index') or 'none'}")
    values = column_values(read_elem(group[found]), path)
    if values.dtype.kind == "f":
        return found, np.array(["" if np.isnan(one) else f"{one:.15g}" for one in values.tolist()], str)
    return found, np.char.strip(values.astype(str))


def _index(root):
    from anndata.io import read_elem

    obs = root["obs"]
    key = obs.attrs.get("_index")
    return None if key is None or key not in obs else np.asarray(read_elem(obs[key]), object).astype(str)


def _columns_of(path, kinds, names):
    lower = np.char.lower(kinds)
    found = np.flatnonzero(np.isin(lower, names))
    if not found.size:
        raise ValueError(f"{path}: expected features of the type {'GEX' if names is _RNA else 'ADT'} (or "
                         f"{listed(names[1:])}), got {listed(np.unique(kinds))}")
    return found


def _cells_to_keep(path, of_type, of_donor, least_cells):
    """The rows whose type and donor are known and whose type has enough cells, and what to say of the others."""
    known = ~np.isin(np.char.lower(of_type), _MISSING) & ~np.isin(np.char.lower(of_donor), _MISSING)
    names, counts = np.unique(of_type[known], return_counts=True)
    common = names[counts >= least_cells]
    keep = np.flatnonzero(known & np.isin(of_type, common))
    if len(common) < 2:
        raise ValueError(f"{path}: expected at least 2 types of {least_cells} cells or more, got {len(common)} of "
                         f"{len(names)} types")
    notes = []
    if len(common) < len(names):
        few = names[counts < least_cells]
        notes.append(f"{len(few)} type{'s' * (len(few) > 1)} of fewer than {least_cells} cells left out: {listed(few)}")
    if not known.all():
        notes.append(f"{np.sum(~known)} cells without type or donor are left out")
    return keep, notes


def _parts(path, donors, split, seed):
    """The part of each cell; a donor is in one part only."""
    names = sorted(set(donors.tolist()), key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))
    if split is None:
        if len(names) < 3:
            raise ValueError(f"{path}: expected at least 3 donors, to train, validate and test on, got {len(names)}")
        shuffled = np.array(names)
        np.random.default_rng(seed).shuffle(shuffled)
        held = max(1, int(len(names) * _VALIDATION))
        train = min(max(1, int(len(names) * _TRAIN)), len(names) - held - 1)
        of_donor = dict.fromkeys(shuffled.tolist(), "test") | dict.fromkeys(shuffled[:train].tolist(), "train") \
            | dict.fromkeys(shuffled[train:train + held].tolist(), "validation")
        return np.array([of_donor[one] for one in donors.tolist()])
    if isinstance(split, Mapping):
        return _parts_by_donor(path, donors, split, names)
    part = np.array([PART_NAMES.get(one.strip().lower(), one) for one in split.tolist()])
    if (odd := ~np.isin(part, PARTS)).any():
        raise ValueError(f"{path}: expected train, validation or test in the split, got {part[odd][0]!r}")
    for one in names:
        if len(of := np.unique(part[donors == one])) > 1:
            raise ValueError(f"{path}: expected every donor in one part of the split, got donor {one} in {listed(of)}")
    return _all_present(path, part)


def _parts_by_donor(path, donors, split, names):
    part, seen = np.full(len(donors), "", "U10"), {}
    for given, of_part in split.items():
        name = PART_NAMES.get(str(given).strip().lower())
        if name is None:
            raise ValueError(f"split: expected donors of train, validation and test, got those of {shown(given)}")
        if isinstance(of_part, str) or not isinstance(of_part, Sequence | np.ndarray):
            raise ValueError(f"split: expected a list of donors for {name}, got {shown(of_part)}")
        for one in map(str, of_part):
            if seen.setdefault(one, name) != name:
                raise ValueError(f"split: expected every donor in one part, got donor {one} in both {seen[one]} and "
                                 f"{name}")
            if one not in names:
                raise ValueError(f"split: expected donors out of {listed(names)}, got {one}")
            part[donors == one] = name
    if left := [one for one in names if one not in seen]:
        raise ValueError(f"split: expected every donor of {path} in a part, got none for {listed(left)}")
    return _all_present("split", part)


def _all_present(path, part):
    if missing := [one for one in PARTS if one not in part]:
        raise ValueError(f"{path}: expected cells to train, validate and test on, got none for {listed(missing)}")
    return part


def _source(path, present, shape):
    """Which of the matrices of a file holds counts, by its first rows."""
    got = "neither"
    for one in present:
        table = open_table(f"{path}:{one}")
        if table.shape == shape:
            first = table.rows(0, min(_LOOKED_AT, shape[0]))
            if np.isnan(first).any() or not (odd := (first < 0) | (first != np.floor(first))).any():
                return one
            got = f"{first[odd][0]:.6g} in {one}" if got == "neither" else got
    raise ValueError(f"{path}: expected counts, which are whole numbers from 0 on, in layers/counts or X, got {got}; "
                     "are they normalised already?")


def _counts(name, gex, adt):
    """Counts of genes, sparse, and of proteins, of all cells."""
    table, rna, proteins = open_table(name), [], []
    for start in range(0, len(table), _BLOCK):
        block = table.rows(start, min(start + _BLOCK, len(table)))
        check_finite(name, block)
        if (odd := (block < 0) | (block != np.floor(block))).any():
            raise ValueError(f"{name}: expected counts, which are whole numbers from 0 on, got {block[odd][0]:.6g} in "
                             f"row {start + odd.any(1).argmax()}")
        rna.append(scipy.sparse.csr_array(block[:, gex].astype(np.float32)))
        proteins.append(block[:, adt].astype(np.float32))
    return scipy.sparse.csr_array(scipy.sparse.vstack(rna)), np.concatenate(proteins)


def _embedding(path, keep, n):
    values = load_array(path)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or len(values) not in (n, len(keep)):
        raise ValueError(f"{path}: expected numbers with a row for each of {n} cells, or of the {len(keep)} that are "
                         f"kept, got {values.dtype} of shape {values.shape}")
    values = values[keep] if len(values) == n else values
    check_finite(str(path), values)
    return values.astype(np.float32)
