"""What the encoders of the nonlinear experiments see: pairs of views as the nuisance of the two comes apart."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phasejax.deep.data import render, stereo_dsprites, stereo_shapes3d
from phasejax.deep.data._solids import SOLIDS
from phasejax.deep.data._sprites import SHAPES

_JITTERS = (0.0, 0.05, 0.2, 0.5)
_NOISE, _SIZE, _POSITION = 0.5, 64, (0.05, -0.15)


def compute_stereo(preset) -> xr.Dataset:
    """One pair of each shape at each jitter, all at the same position; grey images as three equal channels."""
    pairs = []
    for stereo, shapes in ((stereo_dsprites(_SIZE), SHAPES), (stereo_shapes3d(_SIZE), tuple(SOLIDS))):
        drawn = jax.jit(lambda key, shape, jitter, stereo=stereo: render(
            stereo, key, shape, jnp.array(_POSITION), jitter, _NOISE))
        for shape in range(len(shapes)):
            keys = jax.random.split(jax.random.fold_in(preset.key(), shape), len(_JITTERS))
            pairs.append([[np.broadcast_to(view, (_SIZE, _SIZE, 3)) for view in drawn(key, shape, jitter)]
                          for key, jitter in zip(keys, _JITTERS, strict=True)])
    return xr.Dataset({"image": (("shape", "jitter", "view", "row", "column", "colour"), np.array(pairs),
                                 {"long_name": "pixel value", "units": "1"})},
                      coords={"shape": [*SHAPES, *SOLIDS], "jitter": list(_JITTERS), "view": ["x", "y"]},
                      attrs={"noise_y": _NOISE, "position": list(_POSITION)})


def draw_stereo(data: xr.Dataset) -> Figure:
    shapes, jitters = data.sizes["shape"], data.sizes["jitter"]
    figure = Figure(figsize=(1.15 * 2 * jitters + 1, 1.15 * shapes + 0.6), layout="constrained")
    grid = figure.subplots(shapes, 2 * jitters)
    for row, shape in enumerate(data["shape"].values):
        for column, ax in enumerate(grid[row]):
            jitter, view = divmod(column, 2)
            ax.imshow(data.image.isel(shape=row, jitter=jitter, view=view), vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(rf"${data['view'].values[view]}$, $\sigma$ = {float(data.jitter[jitter]):g}", fontsize=9)
        grid[row, 0].set_ylabel(str(shape), fontsize=9)
    return figure
