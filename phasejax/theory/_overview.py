"""What a notebook shows of a spiked model: its parameters, and where it lies in the phase diagram."""

from itertools import groupby

import jax
import numpy as np

from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.validation import is_traced
from phasejax.theory._closed_forms import delta_ca, delta_cp, delta_cp_reverse
from phasejax.theory._model import SpikedModel
from phasejax.theory._regimes import Regime

_WORDS = {"kappa": "signal strength", "nu": "nuisance correlation", "gamma_x": "noise variance on x",
          "gamma_y": "noise variance on y", "nuisance_x": "nuisance variance of x",
          "nuisance_y": "nuisance variance of y"}
# Different values of a parameter that are written out.
_MOST = 6


def overview_of_model(model: SpikedModel) -> Overview:
    """Regime and ratios where the numbers are known, and the parameters; equal ones in a row are written once."""
    rows = [(f"{name}, {words}", _values(getattr(model, name))) for name, words in _WORDS.items()]
    sizes = f"{model.k} signal{'s' * (model.k > 1)}, d_x = {model.d_x}, d_y = {model.d_y}"
    columns = ("parameter", "values")
    if is_traced(*jax.tree.leaves(model)) or np.ndim(model.kappa) != 1:
        return Overview(kind="SpikedModel", answer=sizes, columns=columns, rows=rows)
    with jax.enable_x64(True):
        ratios = {"CA": float(delta_ca(model)), "CP x->y": float(delta_cp(model)),
                  "CP y->x": float(delta_cp_reverse(model))}
    known = not any(np.isnan(value) for value in ratios.values())
    regime = f"{Regime.from_ratios(ratios['CA'], ratios['CP x->y']).value}: " if known else ""
    return Overview(kind="SpikedModel", answer=f"{regime}{sizes}", columns=columns, rows=rows, facts={
        "Separation ratios": ", ".join(f"{name} {significant(value)}" for name, value in ratios.items())})


def _values(values) -> str:
    """Numbers in words: runs of equal ones with their length."""
    if is_traced(values) or np.ndim(values) != 1:
        return f"shape {tuple(np.shape(values))}"
    runs = [(significant(float(value)), len(list(run))) for value, run in groupby(np.asarray(values).tolist())]
    shown = ", ".join(text if count == 1 else f"{text} ({count} times)" for text, count in runs[:_MOST])
    return (shown or "none") + (f", ... ({len(values)} values)" if len(runs) > _MOST else "")
