"""The linear experiment written plainly in NumPy, one cell at a time: what `sweep` is measured against.

The steps are those of the papers' code: draw n pairs and the noiseless part of y, the nuisance
one 2 x 2 Gaussian per coordinate; form covariances; solve alignment and prediction, each with
its own symmetric roots and one SVD; count the signal directions within 0.8 of each subspace.
"""

import numpy as np


def recovered_counts(rng: np.random.Generator, kappa: np.ndarray, nu: float, *, gamma_x: float, gamma_y: float,
                     nuisance_x: float, nuisance_y: float, d: int, n: int) -> tuple[int, int]:
    """(r_CA, r_CP) of one sample of n pairs from one model, in random bases.

    Args:
        rng: where all draws come from.
        kappa: signal strengths, shape (k,).
        nu, gamma_x, gamma_y, nuisance_x, nuisance_y: as of `SpikedModel`, the same for all coordinates.
        d: dimension of x and of y.
        n: number of pairs.
    """
    k = len(kappa)
    x, y, _, truth = _draw(rng, kappa, nu, gamma_x, gamma_y, nuisance_x, nuisance_y, d, n)
    s_xx, s_yy, s_xy = x.T @ x / n, y.T @ y / n, x.T @ y / n
    return (_count(truth, _alignment_encoder(s_xx, s_yy, s_xy, k)),
            _count(truth, _prediction_encoder(s_xx, s_xy, k)))


def _draw(rng: np.random.Generator, kappa: np.ndarray, nu: float, gamma_x: float, gamma_y: float, nuisance_x: float,
          nuisance_y: float, d: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs x and y, the noiseless part of y, and the signal directions of x as columns."""
    k = len(kappa)
    basis_x, basis_y = _random_basis(rng, d), _random_basis(rng, d)
    signal = rng.standard_normal((n, k)) * kappa
    noise_x = rng.standard_normal((n, k)) * np.sqrt(gamma_x)
    noise_y = rng.standard_normal((n, k)) * np.sqrt(gamma_y)
    eta = nu * np.sqrt(nuisance_x * nuisance_y)
    u, v = np.empty((n, d - k)), np.empty((n, d - k))
    for j in range(d - k):
        pair = rng.multivariate_normal(np.zeros(2), [[nuisance_x, eta], [eta, nuisance_y]], size=n)
        u[:, j], v[:, j] = pair[:, 0], pair[:, 1]
    x = np.concatenate([signal + noise_x, u], axis=1) @ basis_x.T
    y = np.concatenate([signal + noise_y, v], axis=1) @ basis_y.T
    return x, y, signal @ basis_y[:, :k].T, basis_x[:, :k]


def _alignment_encoder(s_xx: np.ndarray, s_yy: np.ndarray, s_xy: np.ndarray, k: int) -> np.ndarray:
    root_x, root_y = _inverse_root(s_xx), _inverse_root(s_yy)
    left, _, _ = np.linalg.svd(root_x @ s_xy @ root_y)
    return left[:, :k].T @ root_x


def _prediction_encoder(s_xx: np.ndarray, s_xy: np.ndarray, k: int) -> np.ndarray:
    root_x = _inverse_root(s_xx)
    _, _, right = np.linalg.svd(s_xy.T @ root_x)
    return right[:k] @ root_x


def _count(truth: np.ndarray, encoder: np.ndarray) -> int:
    """How many signal directions have a squared overlap of at least 0.8 with the row space of an encoder."""
    _, _, rows = np.linalg.svd(encoder, full_matrices=False)
    return int(np.sum(np.sum((rows @ truth) ** 2, axis=0) >= 0.8))


def _random_basis(rng: np.random.Generator, d: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T
