"""Counts of molecules in cells, made comparable between cells: log-normalisation, centred log-ratio, variable genes.

Counts are dense or sparse (SciPy), a row for each cell.
"""

import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from jaxtyping import Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_choice, check_count, check_number, shown
from phasejax.io._table import first_line

# Bins of mean expression within which dispersions are compared.
_BINS = 20
# What stands for a mean of 0, so that a gene that no cell has can be put into a bin.
_NO_EXPRESSION = 1e-12


@checked
def log_normalise(counts: Any, total: int | float = 1e4) -> Any:
    r"""Counts c of each cell relative to all of that cell, on a logarithmic scale.

    .. math::
        \log\Big(1 + t\, \frac{c_{ij}}{\sum_l c_{il}}\Big)

    Args:
        counts: non-negative, shape (cells, genes), dense or sparse. A cell without counts stays 0.
        total: t, what the counts of a cell are made to sum to.

    Returns:
        Numbers of the same shape and kind (dense or sparse).

    Raises:
        ValueError: counts that are negative or not finite.

    Source: `normalize_total` and `log1p` of scanpy.

    >>> log_normalise(np.array([[1.0, 3.0], [0.0, 0.0]]), total=4).round(3).tolist()
    [[0.693, 1.386], [0.0, 0.0]]
    """
    check_number("total", total, above=0)
    counts = _checked_counts(counts)
    sums = np.asarray(counts.sum(1), float).reshape(-1, 1)
    scale = total / np.where(sums > 0, sums, 1)
    if scipy.sparse.issparse(counts):
        found = scipy.sparse.csr_array(counts.multiply(scale))
        found.data = np.log1p(found.data)
        return found
    return np.log1p(counts * scale)


@checked
def centred_log_ratio(counts: Any, flavour: str = "stoeckius", *, axis: int = 1) -> Float[np.ndarray, "cells proteins"]:
    r"""Counts c relative to their geometric mean, on a logarithmic scale: over the p proteins of a cell by default.

    .. math::
        \text{stoeckius: } \log(1 + c_{ij}) - \tfrac{1}{p} \sum_l \log(1 + c_{il}), \qquad
        \text{seurat: } \log\Big(1 + c_{ij} / \exp\big(\tfrac{1}{p} \sum_l \log(1 + c_{il})\big)\Big)

    Args:
        counts: non-negative, shape (cells, proteins), dense or sparse.
        flavour: "stoeckius", which is the centred log-ratio with a pseudocount of 1, or "seurat", which is never
            negative.
        axis: 1 for the mean over the proteins of a cell, 0 over the cells of a protein.

    Raises:
        ValueError: counts that are negative or not finite, an unknown flavour or axis.

    Source: Stoeckius et al., Nature Methods 2017; the flavours are those of muon's `prot.pp.clr`.

    >>> centred_log_ratio(np.array([[0, 0, 7]])).round(3).tolist()
    [[-0.693, -0.693, 1.386]]
    """
    check_choice("flavour", flavour, ("stoeckius", "seurat"))
    if axis not in (0, 1):
        raise ValueError(f"axis: expected 0 or 1, got {axis}")
    counts = _checked_counts(counts)
    dense = np.asarray(counts.toarray() if scipy.sparse.issparse(counts) else counts, float)
    logs = np.log1p(dense)
    means = logs.mean(axis, keepdims=True)
    return logs - means if flavour == "stoeckius" else np.log1p(dense / np.exp(means))


@checked
def highly_variable_genes(counts: Any, n: int = 2000, flavour: str = "seurat") -> Int[np.ndarray, "n"]:
    r"""The n genes that vary most between cells, for how much they are expressed.

    With mean m and variance v of a gene's counts, relative to all 10^4 of a cell, the flavour "seurat" takes the genes
    of largest

    .. math::
        \frac{\log(v / m) - \operatorname{mean}_b \log(v / m)}{\operatorname{sd}_b \log(v / m)}

    where mean and standard deviation are over the genes in the same of 20 bins of log(1 + m); a gene alone in its bin
    has 1. "seurat_v3" takes those whose counts vary most about a curve fitted to variance over mean; it is computed by
    scanpy (`pip install "phasejax[scanpy]"`).

    Args:
        counts: non-negative, shape (cells, genes), dense or sparse.
        n: number of genes; fewer where not so many can be told apart from others in their bin.
        flavour: "seurat" or "seurat_v3".

    Returns:
        Numbers of the columns, smallest first.

    Raises:
        ValueError: counts that are negative or not finite, fewer than 2 cells, or scanpy is missing.

    Source: Satija et al., Nature Biotechnology 2015; Stuart et al., Cell 2019; as scanpy computes them.

    >>> rates = np.full((40, 300), 5)
    >>> rates[:, 7] = [0, 10] * 20  # a gene that half of the cells have
    >>> highly_variable_genes(np.random.default_rng(0).poisson(rates), 1).tolist()
    [7]
    """
    check_count("n", n)
    check_choice("flavour", flavour, ("seurat", "seurat_v3"))
    counts = _checked_counts(counts)
    if counts.shape[0] < 2:
        raise ValueError(f"counts: expected at least 2 cells, got {counts.shape[0]}")
    merit = _by_scanpy(counts, n) if flavour == "seurat_v3" else _normalised_dispersion(counts)
    # Rounded, since genes of which two share a bin have the same merit but for the last digits.
    order = np.argsort(-np.nan_to_num(merit, nan=-np.inf).round(9), kind="stable")
    return np.sort(order[:min(n, int(np.sum(~np.isnan(merit))))])


def _normalised_dispersion(counts):
    """The quantity of the flavour "seurat" of each gene; NaN of one that does not vary."""
    relative = log_normalise(counts)
    relative = relative.expm1() if scipy.sparse.issparse(relative) else np.expm1(relative)
    means = np.asarray(relative.mean(0), float).ravel()
    squares = np.asarray((relative.multiply(relative) if scipy.sparse.issparse(relative) else relative**2).mean(0))
    variances = np.maximum(squares.ravel() - means**2, 0)
    means = np.where(means == 0, _NO_EXPRESSION, means)
    varies = variances > 1e-12 * means**2
    logs = np.where(varies, np.log(np.where(varies, variances / means, 1)), np.nan)
    genes = pd.DataFrame({"bin": pd.cut(np.log1p(means), _BINS, labels=False), "logs": logs})
    of_bins = genes.groupby("bin")["logs"]
    centre, spread = of_bins.transform("mean"), of_bins.transform("std")
    alone = spread.isna()
    return ((genes["logs"] - centre.where(~alone, 0)) / spread.where(~alone, centre)).to_numpy()


def _by_scanpy(counts, n):
    """Minus the rank of each gene by scanpy's flavour "seurat_v3"; NaN of genes beyond the first n."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            anndata, scanpy, _ = map(importlib.import_module, ("anndata", "scanpy", "skmisc.loess"))
        except ImportError as error:
            raise ValueError(f"flavour: expected scanpy and scikit-misc for seurat_v3, got {first_line(error)}: "
                             "pip install phasejax[scanpy]") from None
        found = scanpy.pp.highly_variable_genes(anndata.AnnData(scipy.sparse.csr_matrix(counts)), n_top_genes=n,
                                                flavor="seurat_v3", inplace=False)
    return -found["highly_variable_rank"].to_numpy(float)


def _checked_counts(counts):
    """Counts as a float array, or a sparse one by rows."""
    if scipy.sparse.issparse(counts):
        counts = scipy.sparse.csr_array(counts).astype(np.float64)
        values = counts.data
    else:
        try:
            counts = values = np.asarray(counts, float)
        except (TypeError, ValueError):
            raise ValueError(f"counts: expected numbers, got {shown(counts)}") from None
    shape = tuple(counts.shape or ())
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"counts: expected cells and genes, got shape {shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"counts: expected finite numbers, got {int(np.sum(~np.isfinite(values)))} that are not")
    if values.min(initial=0) < 0:
        raise ValueError(f"counts: expected no negative numbers, got {values.min():.6g}; are they normalised already?")
    return counts
