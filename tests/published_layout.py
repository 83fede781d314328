"""Small folders and files in the layouts in which the features of K26 are published, with simulated numbers."""

import numpy as np
import pandas as pd

PARTS = {"train": 90, "val": 30, "test": 40}
D_LAMOST, D_LIGHT = 12, 6


def star_tables(seed=0, parts=PARTS):
    """Features by file name, meta by part, ages and binarity, of stars whose log g both instruments see."""
    rng, arrays, meta, first = np.random.default_rng(seed), {}, {}, 0
    for part, n in parts.items():
        shared = rng.standard_normal((n, 2))
        own = rng.standard_normal((n, D_LAMOST))
        own[:, :2] += 2 * shared
        other = rng.standard_normal((n, D_LIGHT))
        other[:, :2] += 2 * shared
        number = np.arange(first, first + n)
        labels = np.c_[5500 + 300 * shared[:, 1], 4 + 0.4 * shared[:, 0], own[:, 3] / 5, np.full(n, np.nan)]
        labels[::7, 0] = np.nan
        arrays |= {f"z_lamost_{part}": own.astype(np.float32), f"z_kepler_{part}": other.astype(np.float32),
                   f"labels_{part}": labels.astype(np.float32)}
        meta[part] = pd.DataFrame({
            "gaia_source_id": 2_000_000_000_000_000_001 + number, "KID": 1000.0 + number, "TIC": 5000 + number,
            "lamost_obsid": 70_000 + number, "ra": 290.0, "dec": 44.0, "teff": labels[:, 0], "logg": labels[:, 1],
            "feh": labels[:, 2], "prot": labels[:, 3]})
        first += n
    kid = np.arange(1000, 1000 + first)
    logg = np.concatenate([one["logg"] for one in meta.values()])
    ages = pd.DataFrame({"KID": kid, "final_age": 5 - 4 * (logg - 4), "age_error": 0.5})[::2]
    binarity = pd.DataFrame({"KID": kid, "binarity_class": np.where(logg > 4.1, 1 + kid % 4, 0)})
    return arrays, meta, ages, binarity


def write_stars(folder, tables=None, instrument="kepler"):
    """Write such a folder, with the tables of ages and binarity in it."""
    arrays, meta, ages, binarity = star_tables() if tables is None else tables
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name.replace('kepler', instrument)}.npy", values)
    for part, frame in meta.items():
        frame.to_parquet(folder / f"meta_{part}.parquet")
    ages.to_csv(folder / "ages_dataset_gyro.csv", index=False)
    binarity.to_csv(folder / "nss_dataset.csv", index=False)
    return folder


def cells(donors=6, of_donor=30, genes=40, proteins=8, seed=0):
    """Counts, names of the features' types, and obs of cells of three types and one rare one."""
    rng, n = np.random.default_rng(seed), donors * of_donor
    kind = np.arange(n) % 3
    rna = rng.poisson(1 + 4.0 * (np.arange(genes) % 4 == kind[:, None] + 1))
    adt = rng.poisson(5 + 30.0 * (np.arange(proteins) % 3 == kind[:, None]))
    names = np.array(["B", "NK", "T"], object)[kind]
    names[:5] = "rare"
    obs = pd.DataFrame({"cell_type": pd.Categorical(names), "DonorNumber": np.repeat(np.arange(donors), of_donor),
                        "batch": pd.Categorical([f"s{i % 2}d{i}" for i in np.repeat(np.arange(donors), of_donor)]),
                        "Site": pd.Categorical(["site1", "site2"] * (n // 2))},
                       index=[f"cell{i}" for i in range(n)])
    return np.hstack([rna, adt]).astype(np.float32), ["GEX"] * genes + ["ADT"] * proteins, obs


def write_cells(path, counts, kinds, obs, *, layer="counts", x=None):
    """Write an .h5ad file with counts in a layer, or in X where layer is None."""
    import anndata
    import scipy.sparse

    whole = anndata.AnnData(scipy.sparse.csr_matrix(np.log1p(counts) if x is None else x), obs=obs,
                            var=pd.DataFrame({"feature_types": pd.Categorical(kinds)},
                                             index=[f"f{i}" for i in range(len(kinds))]))
    if layer is not None:
        whole.layers[layer] = scipy.sparse.csr_matrix(counts)
    whole.write_h5ad(path)
    return path
