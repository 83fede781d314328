"""Fig. 12: components of alignment and prediction that the published algorithm takes for signal."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_figs.frozen_features import Pair, pairs_in
from paper_figs.presets import Preset
from paper_figs.published_heads import RATIOS, REGIMES
from paper_figs.recipe import Recipe
from phasejax._core.digits import significant
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import plot_spectrum
from phasejax.diagnosis._spectral import ClassifiedSpectrum, classify_spectra
from phasejax.io import encode_labels
from phasejax.io._reduction import PrincipalComponents
from phasejax.plotting import OBJECTIVE_COLOURS, new_figure, panels_above_legend

# Principal components of each view that count, and the most rows, as published for the cells.
COMPONENTS, MOST_ROWS = 100, 5000
_LABEL = {"kepler": "logg", "tess": "logg", "dwarfs": "spectral_type"}
_SPECTRA = {"ca": "canonical correlation", "cp": "singular value of A"}


def compute(preset: Preset, *, store: Path, progress: ProgressCallback, folder: Path | None = None) -> xr.Dataset:
    """Classified spectra of each pair with the published ridge, and separation ratios without it too."""
    pairs = {pair.name: pair for pair in pairs_in(folder)}
    parts = compute_parts([(name,) for name in pairs], lambda name: _spectra(pairs[name]), store=store,
                          settings=lambda name: pairs[name].state, progress=progress, precision=None, workers=1,
                          task="pairs")
    m = max(part["values"].shape[1] for part in parts)

    def padded(values):
        return np.pad(values.astype(float), ((0, 0), (0, m - values.shape[1])), constant_values=np.nan)

    found = {name: (("pair", "spectrum", "component"), np.stack([padded(part[name]) for part in parts]))
             for name in ("values", "r2", "is_signal")}
    found["delta"] = (("pair", "ridge", "spectrum"), np.stack([part["delta"] for part in parts]))
    found["rows"] = (("pair",), np.array([int(part["rows"]) for part in parts]))
    return xr.Dataset(found, coords={"pair": list(pairs), "spectrum": list(_SPECTRA),
                                     "ridge": ["published", "none"], "component": np.arange(1, m + 1)},
                      attrs={"principal_components": COMPONENTS, "most_rows": MOST_ROWS,
                             "labels": ", ".join(_LABEL.get(name, "cell type") for name in pairs)})


def _spectra(pair: Pair) -> dict[str, np.ndarray]:
    features = pair.load()
    label = _LABEL.get(pair.name, "cell_type")
    if label not in features.targets:
        raise ValueError(f"{pair.path}: expected values of {label} in some row, got none")
    rows = features.known(label)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(42).choice(rows, MOST_ROWS, replace=False))
    features = features.take(rows)
    if len(rows) < 2 * COMPONENTS // 10:
        raise ValueError(f"{pair.path}: expected at least {2 * COMPONENTS // 10} rows with {label}, got {len(rows)}")
    views = [np.asarray(view, np.float64) for view in (features.x, features.y)]
    views = [PrincipalComponents.fit(view, min(COMPONENTS, view.shape[1], len(view) - 1), standardise=False,
                                     beyond_rank="zero").transform(view) for view in views]
    views = [view[:, view.std(0) > 1e-9 * view.std(0).max()] for view in views]
    columns = encode_labels(features.targets[label], rows=len(rows), kind=features.label_kind[label])
    columns = np.asarray(columns, float) - np.mean(columns, 0)
    published = classify_spectra(*views, columns, ridge="published")
    try:
        plain = classify_spectra(*views, columns)
        of_plain = [plain.ca.delta, plain.cp.delta]
    except ValueError:  # as many components as rows cannot be whitened without a ridge
        of_plain = [np.nan, np.nan]
    both = (published.ca, published.cp)
    return {"values": np.stack([one.values for one in both]), "r2": np.stack([one.r2 for one in both]),
            "is_signal": np.stack([one.is_signal for one in both]), "rows": np.array(len(rows)),
            "delta": np.array([[one.delta for one in both], of_plain])}


def _regime(deltas: np.ndarray) -> str:
    if np.isnan(deltas).any():
        return "none can be told"
    return {(True, True): "Both", (True, False): "CA only", (False, True): "CP only", (False, False): "Neither"}[
        bool(deltas[0] > 1), bool(deltas[1] > 1)]


def draw(data: xr.Dataset) -> Figure:
    """A row for each pair: the spectrum of alignment and that of prediction."""
    names = [str(name) for name in data.pair.values]
    figure = new_figure(height=0.4 + 2.1 * len(names))
    rows = panels_above_legend(figure).subfigures(len(names), 1, squeeze=False)[:, 0]
    for part, name in zip(rows, names, strict=True):
        own = data.sel(pair=name)
        said = f" (K26: {REGIMES[name]})" if name in REGIMES else ""
        regime, without = (_regime(own.delta.sel(ridge=ridge).values) for ridge in ("published", "none"))
        part.suptitle(f"{Pair(name).title}, n = {int(own.rows)}: {regime}{said}; without a ridge {without}")
        panels = part.subplots(1, 2)
        for place, (ax, (spectrum, ylabel)) in enumerate(zip(panels, _SPECTRA.items(), strict=True)):
            one = own.sel(spectrum=spectrum)
            kept = np.isfinite(one["values"].values)
            found = ClassifiedSpectrum(one["values"].values[kept], one.r2.values[kept],
                                       one.is_signal.values[kept].astype(bool))
            twin = plot_spectrum(ax, found, ylabel)
            if place == 0:
                twin.set_ylabel("")
            ratio = rf"$\Delta_{{\mathrm{{{spectrum.upper()}}}}}$"
            published = RATIOS.get(name, (None, None))[place]
            ax.set_title(f"{ratio} = {significant(float(one.delta.sel(ridge='published')))}"
                         + ("" if published is None else f" (K26: {published:g})"))
    figure.legend(handles=[
        Patch(facecolor=OBJECTIVE_COLOURS["joint"], alpha=0.6, label="signal: predicts the labels"),
        Patch(facecolor="0.65", label="nuisance"),
        Line2D([], [], color="0.25", linestyle=":", label="largest nuisance value"),
        Line2D([], [], color="black", marker="o", markersize=3.5, label=r"$R^2$ of the labels")],
        loc="outside lower center", ncols=4)
    return figure


def tabulate(data: xr.Dataset) -> pd.DataFrame:
    """A component in each row."""
    frame = data[["values", "r2", "is_signal"]].to_dataframe().dropna().astype({"is_signal": bool})
    ratios = data.delta.to_dataframe("delta").unstack("ridge")["delta"]
    ratios.columns = [f"delta, ridge {name}" for name in ratios.columns]
    return frame.join(ratios)


FIGURES = {
    "fig12": Recipe(
        "spectra of frozen features by which the published algorithm finds the regime",
        "Components of alignment (left) and of predicting the second view from the first (right), by Algorithm 1 of "
        "K26 on 100 principal components of each view: singular values (bars), out-of-fold R^2 of the labels from each "
        "component (line, right axis) and what the elbow of these takes for signal (green); dotted: the largest "
        "nuisance value. Labels: log g of stars, types of cells and of brown dwarfs. Ratios above 1 make the regime. "
        "The algorithm adds a ridge of 10^-6 in squared units of the data, so that its answer depends on these; the "
        "answer without it stands beside. Without --data: blood cells and brown dwarfs that come with the package.",
        compute, draw, tabulate=tabulate, check_data=pairs_in, resumable=True),
}
