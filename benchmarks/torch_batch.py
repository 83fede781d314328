"""The linear experiment in batched PyTorch and float64: all cells of a seed in one call of each routine.

It is what a careful engineer would write: covariances drawn as Wishart matrices (or from rows),
Cholesky whitening, the leading eigenvectors of symmetric matrices, and overlaps from one QR
factorisation. `benchmarks.sweep` times it beside our sweep.
"""

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # optional


def recovered_counts(generator: torch.Generator, kappa: np.ndarray, nu: np.ndarray, *, gamma_x: float, gamma_y: float,
                     nuisance_x: float, nuisance_y: float, d: int, n: int, rows: bool = False
                     ) -> tuple[np.ndarray, np.ndarray]:
    """(r_CA, r_CP) of one sample of n pairs for each of b models.

    Args:
        generator: where all draws come from.
        kappa: signal strengths, shape (b, k).
        nu: nuisance correlations, shape (b,).
        gamma_x, gamma_y, nuisance_x, nuisance_y: as of `SpikedModel`, the same for all coordinates and models.
        d: dimension of x and of y.
        n: number of pairs.
        rows: draw the n rows of every cell instead of its Wishart matrix.
    """
    b, k = kappa.shape
    correlation = torch.as_tensor(nu)
    signal = torch.as_tensor(kappa) ** 2
    variance_x = torch.cat([signal + gamma_x, torch.full((b, d - k), nuisance_x, dtype=torch.float64)], 1)
    variance_y = torch.cat([signal + gamma_y, torch.full((b, d - k), nuisance_y, dtype=torch.float64)], 1)
    cross = torch.cat([signal, (correlation * np.sqrt(nuisance_x * nuisance_y))[:, None].expand(b, d - k)], 1)
    slope = cross / variance_x.sqrt()  # y = slope z_1 + rest z_2 and x = sqrt(variance_x) z_1
    rest = (variance_y - slope**2).clamp(min=0).sqrt()
    if rows:
        z = torch.randn(b, n, 2 * d, generator=generator, dtype=torch.float64)
        x = z[..., :d] * variance_x.sqrt()[:, None]
        y = z[..., :d] * slope[:, None] + z[..., d:] * rest[:, None]
        s_xx, s_xy, s_yy = x.mT @ x / n, x.mT @ y / n, y.mT @ y / n
    else:
        t = _white_factor(generator, n, 2 * d) / np.sqrt(n)  # the same draw for all cells, as in `sweep`
        x = variance_x.sqrt()[:, :, None] * t[:d]
        y = slope[:, :, None] * t[:d] + rest[:, :, None] * t[d:]
        s_xx, s_xy, s_yy = x @ x.mT, x @ y.mT, y @ y.mT
    l_x, l_y = torch.linalg.cholesky(s_xx), torch.linalg.cholesky(s_yy)
    b_white = torch.linalg.solve_triangular(l_x, s_xy, upper=False)
    c_white = torch.linalg.solve_triangular(l_y, b_white.mT, upper=False).mT
    return _count(c_white, l_x, k), _count(b_white, l_x, k)


def _count(white: torch.Tensor, factor: torch.Tensor, k: int) -> np.ndarray:
    """Recovered signals in each cell, from whitened cross-covariances and the Cholesky factors that whitened them."""
    _, vectors = torch.linalg.eigh(white @ white.mT)
    encoder = torch.linalg.solve_triangular(factor.mT, vectors[..., -k:], upper=True)
    basis, _ = torch.linalg.qr(encoder)
    return ((basis[:, :k] ** 2).sum(-1) >= 0.8).sum(-1).numpy()


def _white_factor(generator: torch.Generator, n: int, d: int) -> torch.Tensor:
    """The Bartlett factor of the Wishart matrix of n rows of d independent standard normals."""
    below = torch.randn(d, d, generator=generator, dtype=torch.float64).tril(-1)
    shapes = (n - torch.arange(d, dtype=torch.float64)) / 2
    chi = torch.stack([torch._standard_gamma(shape, generator=generator) * 2 for shape in shapes])
    return below + torch.diag(chi.sqrt())
