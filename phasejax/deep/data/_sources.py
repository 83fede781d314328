"""Where an experiment's rows come from: functions of a cell and of row numbers."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from phasejax.deep._experiment import Experiment
from phasejax.deep.data import _stereo
from phasejax.deep.data._batch import Views

_STEREO = {"dsprites": _stereo.stereo_dsprites, "shapes3d": _stereo.stereo_shapes3d}


@dataclass(frozen=True, eq=False)
class Source:
    """Rows that are made when they are needed.

    Args:
        views: (cell, row numbers) to `training.Views`; a row looks the same each time.
        shape_x, shape_y: of a row of either view.
        classes: of the labels.
    """

    views: Callable
    shape_x: tuple[int, ...]
    shape_y: tuple[int, ...]
    classes: int


def open_source(experiment: Experiment) -> Source:
    """The rows of an experiment, its file read if it names one.

    Raises:
        ValueError: a file of another layout, or with fewer rows than the experiment has.
    """
    if experiment.data == "features":
        arrays = _read(experiment.path)
        if len(arrays["x"]) < experiment.n:
            raise ValueError(f"n: expected at most {len(arrays['x'])}, the rows in {experiment.path}, "
                             f"got {experiment.n}")
        return held(**arrays)
    pairs = _STEREO[experiment.data](experiment.size, experiment.path)

    def views(cell, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(cell.data, row))(rows)
        return _stereo.draw(pairs, keys, cell.jitter, cell.noise)

    shape = pairs.images.shape[1:]
    return Source(views=views, shape_x=shape, shape_y=shape, classes=len(pairs.images))


def held(x: np.ndarray, y: np.ndarray, labels: np.ndarray, nuisance: np.ndarray | None = None) -> Source:
    """Measured features, held on the device; each seed deals the rows out anew.

    Columns are taken as they are: prediction, by definition, depends on the units of what is predicted.

    Args:
        x, y: paired rows, shape (n, d_x) and (n, d_y).
        labels: classes, numbers or text, shape (n,).
        nuisance: shape (n, t), what the frozen probe of the nuisance reads out, if anything is known of it.

    Raises:
        ValueError: arrays of different lengths, without two dimensions, with entries that are not finite;
            fewer than two classes.
    """
    arrays = {"x": x, "y": y, "nuisance": np.empty((len(x), 0)) if nuisance is None else nuisance}
    for name, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected numbers in rows and columns, got shape {array.shape}, {array.dtype}")
        if len(array) != len(x):
            raise ValueError(f"{name}: expected {len(x)} rows as in x, got {len(array)}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, got {np.sum(~np.isfinite(array))} that are not")
    if labels.shape != (len(x),):
        raise ValueError(f"labels: expected shape {(len(x),)}, one class for each row of x, got {labels.shape}")
    names, classes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"labels: expected at least two classes, got {len(names)}")
    kept = Views(*(jnp.asarray(arrays[name], jnp.float32) for name in ("x", "y")), jnp.asarray(classes, jnp.int32),
                 jnp.asarray(arrays["nuisance"], jnp.float32))

    def views(cell, rows):
        dealt = jax.random.permutation(cell.data, len(x))[rows]
        return jax.tree.map(lambda leaf: leaf[dealt], kept)

    return Source(views=views, shape_x=x.shape[1:], shape_y=y.shape[1:], classes=len(names))


def _read(path):
    wanted = "an .npz file with x, y and labels (and nuisance, if known)"
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in ("x", "y", "labels", *({"nuisance"} & set(file.files)))}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise ValueError(f"path: expected {wanted}, got {path} ({error})") from None
