"""The rows that an experiment trains and tests on: stereo pairs that are rendered, or measured features from a file."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from phasejax.deep._experiment import Experiment
from phasejax.deep.data._batch import Source, Views
from phasejax.deep.data._stereo import draw, stereo_dsprites, stereo_shapes3d

_STEREO_BY_DATA = {"dsprites": stereo_dsprites, "shapes3d": stereo_shapes3d}


def open_source(experiment: Experiment) -> Source:
    """The rows of an experiment; a file that it names is read here.

    Args:
        experiment: its `data`, `path`, `size` and `n` decide.

    Returns:
        Rows by number. Those of stereo pairs are rendered anew whenever they are asked for.

    Raises:
        ValueError: a file of another layout, or with fewer rows than the experiment has.
    """
    if experiment.data == "features":
        arrays = _read_features(experiment.path)
        if len(arrays["x"]) < experiment.n:
            raise ValueError(f"n: expected at most {len(arrays['x'])}, the rows in {experiment.path}, "
                             f"got {experiment.n}")
        return feature_source(**arrays)
    pairs = _STEREO_BY_DATA[experiment.data](experiment.size, experiment.path)

    def views(cell, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(cell.data, row))(rows)
        return draw(pairs, keys, cell.jitter, cell.noise)

    shape = pairs.images.shape[1:]
    return Source(views=views, shape_x=shape, shape_y=shape, classes=len(pairs.images))


def feature_source(x: Shaped[np.ndarray, "*x"], y: Shaped[np.ndarray, "*y"], labels: Shaped[np.ndarray, "*labels"],
                   nuisance: Shaped[np.ndarray, "*nuisance"] | None = None) -> Source:
    """Measured features, held on the device; each seed permutes the rows anew.

    Columns are taken as they are: prediction, by definition, depends on the units of what is predicted.

    Args:
        x, y: paired rows, shape (n, d_x) and (n, d_y).
        labels: classes, numbers or text, shape (n,).
        nuisance: what the frozen probe of the nuisance shall predict, shape (n, t), if anything is known of it.

    Returns:
        Rows 0 to n - 1 of a cell: a permutation of the given rows that depends on the cell's data key.

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
    all_rows = Views(x=jnp.asarray(arrays["x"], jnp.float32), y=jnp.asarray(arrays["y"], jnp.float32),
                     label=jnp.asarray(classes, jnp.int32), position=jnp.asarray(arrays["nuisance"], jnp.float32))

    def views(cell, rows):
        permuted = jax.random.permutation(cell.data, len(x))[rows]
        return jax.tree.map(lambda leaf: leaf[permuted], all_rows)

    return Source(views=views, shape_x=x.shape[1:], shape_y=y.shape[1:], classes=len(names))


def _read_features(path):
    """The arrays x, y, labels and, if there is one, nuisance of an .npz file."""
    wanted = "an .npz file with x, y and labels (and nuisance, if known)"
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in ("x", "y", "labels", *({"nuisance"} & set(file.files)))}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise ValueError(f"path: expected {wanted}, got {path} ({error})") from None
