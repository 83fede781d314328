"""Makes `phasejax/_data/brown_dwarfs.npz`, the data of `phasejax.datasets.load_brown_dwarfs`, from the package splat.

`pip download --no-deps splat==1.14`, unpack the wheel, and run `python -m benchmarks.make_brown_dwarfs FOLDER`, with
FOLDER its `splat`; astropy reads the spectra. Kept are published spectra of good quality, of very-low-mass stars and
brown dwarfs from M6 to T9 with J, H and Ks; each is averaged over bins of equal width in log wavelength and divided by
its mean, since the scale of the stored fluxes differs from paper to paper. Spectra that are there twice under the names
of different objects are left out.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

MADE = Path(__file__).parents[1] / "phasejax" / "_data" / "brown_dwarfs.npz"
SPECTRA = "resources/Spectra/Public/SPEX-PRISM"
# Micrometres, within what nearly all spectra cover; and steps of the stored fluxes in the mean of a spectrum.
EDGES, STEPS = np.geomspace(0.86, 2.40, 121), 4000
_LEAST_SNR = 10
_BANDS = ("J_2MASS", "H_2MASS", "KS_2MASS")


def numeric_type(text: object) -> float:
    """A spectral type as a number, 6 for M6, 10 for L0, 24.5 for T4.5; NaN for giants, pairs and doubtful types.

    >>> numeric_type("L4 beta"), numeric_type("T4.5"), numeric_type("sdM7"), numeric_type("M7+T5")
    (14.0, 24.5, nan, nan)
    """
    match = re.match(r"([MLT])(\d(?:\.\d+)?)", str(text))
    if match is None or re.search(r"\+ ?[MLT]|III|::|\?", str(text)):
        return np.nan
    return 10.0 * "MLT".index(match[1]) + float(match[2])


def binned(wavelength: Float[np.ndarray, "p"], flux: Float[np.ndarray, "p"]) -> Float[np.ndarray, "bins"] | None:
    """Means over the bins in units of the spectrum's mean; None where a bin is empty or nothing is positive."""
    kept = np.isfinite(wavelength) & np.isfinite(flux)
    place = np.digitize(wavelength[kept], EDGES) - 1
    inside = (place >= 0) & (place < len(EDGES) - 1)
    place, flux = place[inside], flux[kept][inside].astype(np.float64)
    counts = np.bincount(place, minlength=len(EDGES) - 1)
    if not counts.all() or not flux.mean() > 0:
        return None
    means = np.bincount(place, flux, len(EDGES) - 1) / counts
    return means / means.mean()


def places(degrees: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "n"]:
    """A number for each place on the sky, the same for entries within 10 arcseconds, some of them under two names."""
    ra, dec = np.radians(degrees).T
    points = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    pairs = KDTree(points).query_pairs(np.radians(10 / 3600), output_type="ndarray")
    near = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(points),) * 2)
    return connected_components(near, directed=False)[1]


def once(spectra: Int[np.ndarray, "n bins"], source: Int[np.ndarray, "n"], types: Float[np.ndarray, "n"]
         ) -> Int[np.ndarray, "m"]:
    """Rows without copies: the first of a spectrum that is there twice, and none that stands for different objects."""
    copies = np.unique(spectra, axis=0, return_inverse=True)[1].reshape(-1)
    kept = []
    for copy in np.unique(copies):
        rows = np.flatnonzero(copies == copy)
        if len(set(zip(source[rows], types[rows], strict=True))) == 1:
            kept.append(rows[0])
    return np.sort(kept)


def make(folder: Path, made: Path = MADE) -> None:
    """Write spectra, magnitudes, types, sources, signal-to-noise ratios and references."""
    from astropy.io import fits  # pyright: ignore[reportMissingImports]  # not needed elsewhere

    data, sources = (pd.read_csv(folder / f"db/{name}_data.csv", encoding="utf-8-sig")
                     for name in ("spectral", "source"))
    rows = data.merge(sources, on="SOURCE_KEY").assign(type=lambda table: table.LIT_TYPE.map(numeric_type))
    magnitudes = rows[[*_BANDS]].to_numpy(float)
    rows = rows[(rows.QUALITY_FLAG == "OK") & (rows.PUBLISHED == "Y") & (rows.OBJECT_TYPE == "VLM") &
                (rows.MEDIAN_SNR >= _LEAST_SNR) & rows.type.between(6, 29) & np.isfinite(magnitudes).all(1) &
                (magnitudes > 0).all(1)]
    rows = rows.iloc[np.argsort(rows.DATA_KEY.to_numpy())]
    found, kept = [], []
    for number, file in zip(rows.index, rows.DATA_FILE, strict=True):
        with fits.open(folder / SPECTRA / f"{file}.gz") as opened:
            values = np.asarray(opened[0].data, np.float64)
        spectrum = binned(values[0], values[1])
        if spectrum is not None and np.abs(spectrum).max() * STEPS < 2**15:
            found.append(np.round(spectrum * STEPS))
            kept.append(number)
    rows, spectra = rows.loc[kept], np.array(found, np.int16)
    source = places(rows[["RA", "DEC"]].to_numpy(float))
    own = once(spectra, source, rows.type.to_numpy(float))
    rows, spectra, source = rows.iloc[own], spectra[own], source[own]
    references, reference = np.unique(rows.BIBCODE.fillna("").to_numpy(str), return_inverse=True)
    np.savez_compressed(
        made, flux=spectra, steps=np.array(STEPS), edges=EDGES.astype(np.float32),
        magnitudes=np.round(1e3 * rows[[*_BANDS]].to_numpy(float)).astype(np.uint16),
        type=rows.type.to_numpy(np.float32), source=np.unique(source, return_inverse=True)[1].astype(np.int16),
        snr=rows.MEDIAN_SNR.to_numpy(np.float32), references=references, reference=reference.astype(np.int16))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
