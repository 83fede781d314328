r"""The closed forms of `phasejax.linear.solve_ca`, `solve_cp` and `solve_joint` for the estimators, in NumPy.

With Cholesky factors S_xx = L_x L_x' and S_yy = L_y L_y' they are decompositions of

.. math::  B = L_x^{-1} S_{xy}, \qquad C = B L_y^{-\top}

and encoders come from the vectors u by E = u' L_x^{-1}. A compiled function would be compiled again for every number
of columns and of components, that is in every fold and cell of a search, and could not run in a forked process.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh, solve_triangular, svdvals

from phasejax._core.thin_svd import thin_svd

# Share of all singular vectors that are few, and of the largest value that is large.
_FEW, _LARGE = 0.2, 0.1


def solve_alignment(xx: Float[np.ndarray, "d_x d_x"], xy: Float[np.ndarray, "d_x d_y"],
                    yy: Float[np.ndarray, "d_y d_y"], k: int
                    ) -> tuple[Float[np.ndarray, "k d_x"], Float[np.ndarray, "k d_y"], Float[np.ndarray, "m"]]:
    """Both encoders of the k leading canonical variates, and all canonical correlations.

    Args:
        xx, xy, yy: covariances of the two views, of which `xx` and `yy` are positive definite.
        k: number of pairs.

    Raises:
        ValueError: a variance that is singular to working precision.
    """
    root_x, root_y = _root("X", xx), _root("y", yy)
    left, values, right = _leading(_divided(root_y, _divided(root_x, xy).T).T, k)
    signs = _signs(left)
    return (_divided(root_x, left * signs, transposed=True).T,
            _divided(root_y, right * signs, transposed=True).T, values)


def solve_prediction(names: tuple[str, str], xx: Float[np.ndarray, "d_x d_x"], xy: Float[np.ndarray, "d_x d_y"],
                     yy: Float[np.ndarray, "d_y d_y"], k: int, lam: float | None
                     ) -> tuple[Float[np.ndarray, "k d_x"], Float[np.ndarray, "d_y k"], Float[np.ndarray, "m"]]:
    """Encoder and decoder of the prediction of y from x, and what ranked the directions.

    Args:
        names: what errors call x and y.
        xx, xy, yy: covariances; `yy` may be singular where `lam` is None.
        k: rank of the prediction.
        lam: weight of alignment in the joint objective; None for prediction alone.

    Returns:
        Encoder, decoder, and all singular values of B, or the k leading eigenvalues of the joint objective.

    Raises:
        ValueError: a variance that is singular to working precision.
    """
    root_x = _root(names[0], xx)
    b = _divided(root_x, xy)
    if lam is None:
        directions, values, _ = _leading(b, k)
    else:
        c = _divided(_root(names[1], yy), b.T).T
        d = len(xx)
        values, directions = eigh(b @ b.T + lam * (c @ c.T - np.eye(d)), subset_by_index=[d - k, d - 1],
                                  check_finite=False)
        values, directions = values[::-1], directions[:, ::-1]
    directions = directions * _signs(directions)
    return _divided(root_x, directions, transposed=True).T, b.T @ directions, values


def linear_partner(encoder: Float[np.ndarray, "k d_x"], xy: Float[np.ndarray, "d_x d_y"],
                   yy: Float[np.ndarray, "d_y d_y"]) -> Float[np.ndarray, "k d_y"]:
    """The linear prediction E S_xy S_yy^+ of the codes E x from y, whose variance may be singular.

    The rank is that of S_yy with variances near 1, where powers of 2 have brought them.
    """
    scale = np.ldexp(1.0, np.frexp(np.sqrt(np.diag(yy)))[1])
    values, vectors = eigh(yy / scale[:, None] / scale, check_finite=False)
    kept = values > len(values) * np.finfo(float).eps * values[-1]
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    return (encoder @ (xy / scale) @ vectors * inverse) @ vectors.T / scale


def _leading(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k leading singular vectors of either side as columns, and all singular values.

    Few vectors are found faster from the square of the matrix, which doubles the digits that rounding takes from a
    value; so this is done where all k are of the order of the largest.
    """
    if k <= min(matrix.shape) * _FEW:
        values = np.asarray(svdvals(matrix, check_finite=False))
        if values[k - 1] > _LARGE * values[0]:
            d = len(matrix)
            _, left = eigh(matrix @ matrix.T, subset_by_index=[d - k, d - 1], check_finite=False)
            left = left[:, ::-1]
            return left, values, matrix.T @ left / values[:k]
    left, values, right = thin_svd(matrix)
    return left[:, :k], values, right[:k].T


def _root(name, variance):
    """The Cholesky factor of a variance, of which every pivot is above rounding."""
    try:
        root = np.linalg.cholesky(variance)
    except np.linalg.LinAlgError:
        root = np.zeros_like(variance)
    if not (np.diag(root) ** 2 > len(variance) * np.finfo(float).eps * np.diag(variance)).all():
        raise ValueError(f"{name}: expected linearly independent columns, or more shrinkage or ridge, got rank "
                         f"{np.linalg.matrix_rank(variance, hermitian=True)} from {len(variance)} columns")
    return root


def _divided(root, matrix, transposed=False):
    """L^{-1} M, or L'^{-1} M."""
    return solve_triangular(root, matrix, lower=True, trans=int(transposed), check_finite=False)


def _signs(vectors):
    """Signs that make the entry of largest modulus of each column positive."""
    return np.where(vectors.max(0) < -vectors.min(0), -1.0, 1.0)
