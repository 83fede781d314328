r"""What a network would be trained to output, in closed form: encoders of width k fitted to second moments.

With W_x the whitening of x (W_x S_xx W_x' = 1), C = W_x S_xy W_y' and B = W_x S_xy, the encoder of x is W_x' times
the top k left singular vectors

- of C for alignment, CA, whose encoder of y is W_y' times the right ones,
- of B for predicting y from x, CP,
- of [C / |C|_F, B / |B|_F] for the joint objective. These are the top eigenvectors of C C' / |C|^2 + B B' / |B|^2 =
  W_x S_xy (lam_1 S_yy^{-1} + lam_2 1) S_yx W_x', with weights that give alignment and prediction a trace of one each.

The top k of K >= k singular vectors are the first k of them, so that one factorisation serves every width up to K.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from phasejax._core.thin_svd import thin_svd
from phasejax._core.validation import did_you_mean
from phasejax.diagnosis._linear_readout import inverse_scales

# All representations, in the order in which they are shown. Both views side by side have 2k columns, one encoder k;
# "x", "y" and "x and y" are all columns of the data, "x at k" the first k principal components.
NAMES = ("CA", "CP both", "CA of x", "CA of y", "CP x->y", "CP y->x", "joint", "x", "y", "x and y", "x at k", "y at k")
# The encoders that are fitted, each of one view.
ENCODERS = ("CA of x", "CA of y", "CP x->y", "CP y->x", "joint", "x at k", "y at k")
# What stands side by side in the others.
TOGETHER = {"CA": ("CA of x", "CA of y"), "CP both": ("CP x->y", "CP y->x")}
RAW = ("x", "y", "x and y")
# What needs no training, so that its score is measured rather than foretold.
MEASURED = (*RAW, "x at k", "y at k")
# Least eigenvalue of a correlation matrix that is whitened as it is. With a smaller one whitening would amplify the
# error that rounding left, so the matrix is shrunk first.
LEAST_EIGENVALUE = 1e-8


def known_names(among: Sequence[str]) -> tuple[str, ...]:
    """The names, in the spelling of `NAMES`; capitals and spaces do not matter.

    Raises:
        ValueError: there are none, one is repeated, or one is unknown; then the nearest known name is given.

    >>> known_names(("ca", "CP x -> y"))
    ('CA', 'CP x->y')
    """
    plain = {_plain(name): name for name in NAMES}
    if isinstance(among, str) or not len(among):
        raise ValueError(f"among: expected names such as ('CA', 'CP both'), got {among!r}")
    for name in among:
        if _plain(name) not in plain:
            raise ValueError(f"among: expected some of {', '.join(NAMES)}, got {name!r}{did_you_mean(name, NAMES)}")
    found = tuple(plain[_plain(name)] for name in among)
    if len(set(found)) < len(found):
        raise ValueError(f"among: expected each name once, got {', '.join(found)}")
    return found


def _plain(name):
    return "".join(str(name).split()).casefold()


def correlation_whitening(covariance: Float[np.ndarray, "p p"], mean: Float[np.ndarray, "p"], crowded: bool,
                          centred_rows: Callable[[], np.ndarray]) -> tuple[Float[np.ndarray, "p p"], float]:
    """W with W S W' = 1, where S is shrunk if it is near singular, and the share of the identity in S.

    Args:
        covariance, mean: of the training rows of one view.
        crowded: whether there are no more rows than columns of both views, so that S has to be shrunk.
        centred_rows: returns the rows less their mean; only called where S has to be shrunk.
    """
    unit = inverse_scales(np.diag(covariance), mean)
    correlation = covariance * np.outer(unit, unit)
    correlation[np.diag_indices_from(correlation)] = 1.0
    shrinkage = 0.0
    if crowded or np.linalg.eigvalsh(correlation)[0] < LEAST_EIGENVALUE:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = max(float(ledoit_wolf_shrinkage(centred_rows() * unit, assume_centered=True)), LEAST_EIGENVALUE)
        correlation = (1 - shrinkage) * correlation + shrinkage * np.eye(len(correlation))
    factor = np.linalg.cholesky(correlation)
    return scipy.linalg.solve_triangular(factor, np.diag(unit), lower=True), shrinkage


def shared_encoders(root_x: Float[np.ndarray, "r_x p_x"], root_y: Float[np.ndarray, "r_y p_y"],
                    xy: Float[np.ndarray, "p_x p_y"], x_to: Float[np.ndarray, "p_x t_y"],
                    y_to: Float[np.ndarray, "p_y t_x"], k: int) -> dict[str, np.ndarray]:
    """The encoders of alignment, of prediction both ways, and of both objectives together.

    Args:
        root_x, root_y: whitenings, W S W' = 1.
        xy: covariance of x with y.
        x_to, y_to: covariances of each view with the columns that it is to predict.
        k: columns of each.

    Returns:
        Matrices of k columns (or the rank, if that is less) by the names of `ENCODERS`, of the view that each encodes.
    """
    whitened, forward = root_x @ xy @ root_y.T, root_x @ x_to
    left, _, right = thin_svd(whitened)
    cp = thin_svd(forward)[0]
    reverse = thin_svd(root_y @ y_to)[0]
    both = thin_svd(np.hstack([_of_unit_norm(whitened), _of_unit_norm(forward)]))[0]
    return {"CA of x": root_x.T @ left[:, :k], "CA of y": root_y.T @ right[:k].T, "CP x->y": root_x.T @ cp[:, :k],
            "CP y->x": root_y.T @ reverse[:, :k], "joint": root_x.T @ both[:, :k]}


def _of_unit_norm(matrix):
    norm = np.linalg.norm(matrix)
    return matrix / norm if norm > 0 else matrix


def of_one_view(name: str) -> str:
    """The view, "x" or "y", that an encoder sees."""
    return "y" if name in ("CA of y", "CP y->x", "y at k") else "x"


def places(name: str, k: int, widest: int) -> Int[np.ndarray, "c"]:
    """Where a representation's columns are among those of all `ENCODERS` side by side, `widest` columns each.

    >>> places("CA", 2, 3).tolist()
    [0, 1, 3, 4]
    """
    return np.concatenate([ENCODERS.index(part) * widest + np.arange(k) for part in TOGETHER.get(name, (name,))])
