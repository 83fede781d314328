"""Simulated cells beside real ones: the preset "pbmc" and the 779 blood cells that ship with the package.

Of the real cells those of the 6 types with at least 40 are taken, of their genes the 60 with most counts but for
MALAT1, which has more than half of all counts, and the 30 proteins whose log-ratios vary most. The numbers of the
preset were found by matching the statistics named in `MATCHED`, over simulated sets of other seeds than those of this
table. The others were not looked at.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import kurtosis, skew

from benchmarks.report import Row, row
from phasejax.diagnosis import label_content
from phasejax.instruments import CITE_PRESETS, simulate_cells
from phasejax.linear import canonical_correlations, covariances_from_samples

TYPES = ("CD4 T", "Mono", "CD8 T", "NK", "B", "other T")
MATCHED = ("mean counts of RNA", "mean counts of proteins", "spread of log counts of RNA",
           "spread of log counts of proteins", "correlation of log counts", "zeros of RNA", "zeros of proteins",
           "spread of log mean of genes", "spread of log mean of proteins", "overdispersion of RNA",
           "overdispersion of proteins", "share of variance by type, x", "share of variance by type, y",
           "share of variance by batch, x", "share of variance by batch, y", "variance of x", "variance of y",
           "share of proteins with two modes", "canonical correlation 1", "canonical correlation 2",
           "canonical correlation 4", "canonical correlation 7")
_SETS = 10


def statistics(rna: Int[np.ndarray, "n genes"], protein: Int[np.ndarray, "n proteins"], types: Int[np.ndarray, "n"],
               batch: Int[np.ndarray, "n"], seed: int = 0) -> dict[str, float]:
    """Statistics of counts and of their views, by name."""
    found: dict[str, float] = {}
    logs = []
    for name, columns, counts in (("RNA", "genes", rna), ("proteins", "proteins", protein)):
        totals, mean, variance = counts.sum(1), counts.mean(0), counts.var(0)
        logs.append(np.log(np.maximum(totals, 1)))
        common = mean > 0.3
        excess = (variance[common] - mean[common]) / mean[common]**2
        found |= {f"mean counts of {name}": totals.mean(), f"spread of log counts of {name}": logs[-1].std(),
                  f"zeros of {name}": (counts == 0).mean(),
                  f"spread of log mean of {columns}": np.log(mean[mean > 0]).std(),
                  f"overdispersion of {name}": float(np.median(excess))}
    found["correlation of log counts"] = np.corrcoef(*logs)[0, 1]
    x = np.log1p(1e4 * rna / np.maximum(rna.sum(1), 1)[:, None])
    log_protein = np.log1p(protein)
    y = log_protein - log_protein.mean(1, keepdims=True)
    for name, view in (("x", x), ("y", y)):
        found |= {f"share of variance by type, {name}": _between(view, types),
                  f"share of variance by batch, {name}": _between(view, batch),
                  f"variance of {name}": view.var(0).sum()}
    # Sarle's coefficient is above 5/9 for two modes.
    modes = (skew(log_protein)**2 + 1) / kurtosis(log_protein, fisher=False)
    found["share of proteins with two modes"] = np.nanmean(modes > 5 / 9)
    x, y = x[:, x.std(0) > 0], y @ CITE_PRESETS["pbmc"].fixed.log_ratios
    correlations = np.asarray(canonical_correlations(covariances_from_samples(x - x.mean(0), y - y.mean(0))))
    found |= {f"canonical correlation {place}": float(correlations[place - 1]) for place in (1, 2, 3, 4, 5, 7, 10)}
    codes = (types[:, None] == np.arange(types.max() + 1)).astype(float)
    content = label_content(x, y, codes, np.arange(len(x)), ks=[2, 5], seed=seed)
    for k in (2, 5):
        found |= {f"label content of {name} at k = {k}": share.value for name, share in content.at(k).items()}
    return found


def _between(view: Float[np.ndarray, "n d"], groups: Int[np.ndarray, "n"]) -> float:
    centred = view - view.mean(0)
    between = sum((groups == one).sum() * (centred[groups == one].mean(0)**2).sum() for one in np.unique(groups))
    return float(between / (centred**2).sum())


def real_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Counts of genes and proteins, types and batches of the real cells."""
    from importlib.resources import files

    with files("phasejax").joinpath("_data/pbmc_cite.npz").open("rb") as opened, np.load(opened) as file:
        rna, protein, cell_type, batch = (file[name] for name in ("rna", "protein", "cell_type", "batch"))
    kept = np.isin(cell_type, TYPES)
    rna, protein = rna[kept].astype(int), protein[kept].astype(int)
    logs = np.log1p(protein)
    varying = np.argsort(-(logs - logs.mean(1, keepdims=True)).var(0))[:30]
    return (rna[:, np.argsort(-rna.mean(0))[1:61]], protein[:, varying],
            np.array([TYPES.index(one) for one in cell_type[kept]]), (batch[kept] == batch[kept][0]).astype(int))


def run() -> list[Row]:
    """Each statistic of the real cells, with mean and spread over simulated sets of the same size."""
    known = real_cells()
    sets: list[Mapping[str, float]] = []
    for seed in range(_SETS):
        cells = simulate_cells(1000 + seed, len(known[0]), CITE_PRESETS["pbmc"])
        sets.append(statistics(cells.rna, cells.protein, cells.cell_type, cells.batch))
    rows = []
    for name, value in statistics(*known).items():
        simulated = np.array([one[name] for one in sets])
        case = f"{name}{'' if name in MATCHED else ' (not matched)'}"
        rows += [row(case, "real", value, "1"), row(case, "simulated", simulated.mean(), "1"),
                 row(case, "spread over sets", simulated.std(ddof=1), "1")]
    return rows
