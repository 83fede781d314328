r"""Closed-form solutions of alignment (CA), prediction (CP) and their mixture, from covariances.

With the whitenings W_x S_xx W_x' = I and W_y S_yy W_y' = I every problem is a leading eigenspace
of a symmetric matrix in whitened x coordinates:

.. math::
    C = W_x S_{xy} W_y^\top, \quad B = W_x S_{xy}, \qquad
    \text{CA: } C C^\top, \quad \text{CP: } B B^\top, \quad
    \text{joint: } B B^\top + \lambda (C C^\top - I)

and the encoder is the transpose of the k leading eigenvectors times W_x. All encoders therefore
whiten their outputs, E S_xx E' = I; an invertible k x k factor is free. Prediction in the other
direction is the same function of `covariances.reverse()`.

Everything here works under jit, vmap and grad; derivatives are those of quantities that depend
on the encoder's row space (see `phasejax.linear.top_k_eigenspace`). Singular covariances give NaN.
"""

from collections.abc import Hashable
from typing import cast

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.checked_call import checked
from phasejax._core.linalg import singular_values, top_k_eigenspace, whitening
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_array, shown
from phasejax.linear._covariances import Covariances, Whitened, pseudo_whitening_in_any_units


@pytree
class Alignment:
    """A solution of cross-modal alignment: the k leading pairs of canonical variates.

    Args:
        encoder_x: (k, d_x), one row per canonical variate, with outputs of unit variance.
        encoder_y: (k, d_y), the same for y, with outputs that are positively correlated with x's.
        spectrum: all min(d_x, d_y) canonical correlations, largest first.
    """

    encoder_x: Float[Array, "k d_x"]
    encoder_y: Float[Array, "k d_y"]
    spectrum: Float[Array, "m"]

    def constrained(self) -> tuple[Float[Array, "k d_x"], Float[Array, "k d_y"]]:
        """The encoders (W, V) scaled by Phi_k^{-1/2}, so that W S_xy V' = I: the optimum of K26, eq. 1."""
        scale = self.spectrum[:self.encoder_x.shape[0], None] ** -0.5
        return scale * self.encoder_x, scale * self.encoder_y


@pytree
class Prediction:
    """A rank-k linear prediction of y from x, y = decoder encoder x.

    Args:
        encoder: (k, d_x), with outputs of unit variance.
        decoder: (d_y, k), in units of y.
        spectrum: the values that ranked the directions, largest first: singular values of A for
            CP, canonical correlations for CA + probe, eigenvalues of M for the joint objective.
    """

    encoder: Float[Array, "k d_x"]
    decoder: Float[Array, "d_y k"]
    spectrum: Float[Array, "m"]

    @property
    def predictor(self) -> Float[Array, "d_y d_x"]:
        """The rank-k matrix that maps x to the prediction of y."""
        return self.decoder @ self.encoder


@checked
def canonical_correlations(covariances: Covariances, *, singular: bool = False) -> Float[Array, "m"]:
    r"""All singular values of C = S_xx^{-1/2} S_xy S_yy^{-1/2}, largest first.

    They do not depend on the units of any column.

    Args:
        covariances: of the two views.
        singular: allow singular S_xx or S_yy, whose null spaces are then left out.

    Returns:
        The correlations, shape (min(d_x, d_y),), in [0, 1].

    Source: K26, Theorem A.1 and Proposition 3.1.
    """
    root = pseudo_whitening_in_any_units if singular else whitening
    return singular_values(root(covariances.xx) @ covariances.xy @ root(covariances.yy).T)


@checked
def regression_singular_values(covariances: Covariances) -> Float[Array, "m"]:
    """All singular values of A = S_yx S_xx^{-1/2}, in units of y, largest first.

    Source: K26, Theorem A.2 and Proposition 3.1.
    """
    return singular_values(Whitened(covariances).b)


@checked
def solve_ca(covariances: Covariances | Whitened, k: int) -> Alignment:
    r"""Cross-modal alignment: min mean ||W x - V y||^2 subject to W S_xy V' = I_k.

    With C = P Phi Q' the encoders are P_k' S_xx^{-1/2} and Q_k' S_yy^{-1/2}, canonical
    correlation analysis; `Alignment.constrained` gives the paper's scaling.

    Args:
        covariances: of the two views, positive definite.
        k: dimension of the shared space, 1 <= k <= min(d_x, d_y).

    Returns:
        Both encoders, and all canonical correlations.

    Raises:
        ValueError: k out of range.

    Source: K26, eq. 1 and Theorem A.1.

    >>> from phasejax import SpikedModel
    >>> from phasejax.simulation import population_covariances
    >>> model = SpikedModel.create([3.0, 2.0], nu=0.5, gamma_x=1.0, gamma_y=0.0, d=4)
    >>> [round(float(value), 3) for value in solve_ca(population_covariances(model), k=2).spectrum]
    [0.949, 0.894, 0.5, 0.5]
    """
    whitened = _whitened(covariances, k)
    directions = top_k_eigenspace(whitened.c @ whitened.c.T, k)
    partners = whitened.c.T @ directions  # Q_k Phi_k
    return Alignment(encoder_x=directions.T @ whitened.root_x,
                     encoder_y=(partners / jnp.linalg.norm(partners, axis=0)).T @ whitened.root_y,
                     spectrum=singular_values(whitened.c))


@checked
def solve_cp(covariances: Covariances | Whitened, k: int) -> Prediction:
    r"""Cross-modal prediction: min mean ||y - D E x||^2 over rank k, reduced-rank regression.

    With A = S_yx S_xx^{-1/2} = U S V', D E = U_k S_k V_k' S_xx^{-1/2} and E = V_k' S_xx^{-1/2}.
    Columns of y count by their variance: other units for one of them give another prediction. Those of x do not matter.
    To predict x from y, pass `covariances.reverse()`.

    Args:
        covariances: of the two views; S_xx positive definite, while S_yy may be singular.
        k: rank of the prediction, 1 <= k <= min(d_x, d_y).

    Returns:
        Encoder, decoder, and all singular values of A in units of y.

    Raises:
        ValueError: k out of range.

    Source: K26, eq. 2 and Theorem A.2.

    >>> from phasejax import SpikedModel
    >>> from phasejax.simulation import population_covariances
    >>> model = SpikedModel.create([3.0, 2.0], nu=0.5, gamma_x=1.0, nuisance_y=36.0, d=4)
    >>> [f"{value:.3f}" for value in solve_cp(population_covariances(model), k=2).spectrum]
    ['3.000', '3.000', '2.846', '1.789']
    """
    whitened = _whitened(covariances, k)
    b = whitened.b
    directions = top_k_eigenspace(b @ b.T, k)
    return Prediction(encoder=directions.T @ whitened.root_x, decoder=b.T @ directions, spectrum=singular_values(b))


@checked
def linear_probe(covariances: Covariances, encoder: Float[HostOrDevice, "k d_x"]) -> Float[Array, "d_y k"]:
    """Least-squares decoder of y from the outputs E x of an encoder: S_yx E' (E S_xx E')^{-1}, in units of y.

    Args:
        covariances: of the two views.
        encoder: E, shape (k, d_x), of rank k.

    Source: K26, section 3 (CA + linear probe).
    """
    root = whitening(encoder @ covariances.xx @ encoder.T)
    return cast(Array, (covariances.xy.T @ encoder.T) @ root.T @ root)


@checked
def solve_ca_probe(covariances: Covariances | Whitened, k: int) -> Prediction:
    """Prediction of y by a linear probe on the encoder of alignment, CA + probe.

    Args:
        covariances: of the two views, positive definite.
        k: number of encoder outputs, 1 <= k <= min(d_x, d_y).

    Raises:
        ValueError: k out of range.

    Source: K26, section 3 (CA + linear probe).
    """
    whitened = covariances if isinstance(covariances, Whitened) else Whitened(covariances)
    return probed(solve_ca(whitened, k), whitened.covariances)


def probed(alignment: Alignment, covariances: Covariances) -> Prediction:
    """The prediction of y that a linear probe makes from the encoder of an alignment."""
    return Prediction(encoder=alignment.encoder_x, spectrum=alignment.spectrum,
                      decoder=linear_probe(covariances, alignment.encoder_x))


@checked
def solve_joint(covariances: Covariances | Whitened, k: int, lam: Float[ArrayLike, ""]) -> Prediction:
    r"""Prediction plus lambda times alignment: the k leading eigenvectors of

    .. math::  M = B B^\top + \lambda (C C^\top - I)

    At lambda = 0 this is `phasejax.linear.solve_cp`; as lambda grows it tends to `phasejax.linear.solve_ca`. The
    spectrum holds the k leading eigenvalues of M.

    Args:
        covariances: of the two views, positive definite.
        k: number of encoder outputs, 1 <= k <= min(d_x, d_y).
        lam: weight lambda >= 0 of alignment, in units of y squared.

    Raises:
        ValueError: k out of range.

    Source: K26, the corollary on the joint objective (eigenproblem of the profiled loss).
    """
    whitened = _whitened(covariances, k)
    check_array("lam", lam, 0)
    b, c = whitened.b, whitened.c
    m = b @ b.T + lam * (c @ c.T - jnp.eye(c.shape[0], dtype=c.dtype))
    directions = top_k_eigenspace(m, k)
    return Prediction(encoder=directions.T @ whitened.root_x, decoder=b.T @ directions,
                      spectrum=jnp.einsum("ik,ij,jk->k", directions, m, directions))


def check_rank(covariances: Covariances, k: int) -> None:
    """Refuse a number of outputs that the views cannot have.

    Raises:
        ValueError: k below 1 or above min(d_x, d_y).
    """
    top = min(covariances.d_x, covariances.d_y)
    if not hasattr(k, "__index__") or not isinstance(k, Hashable) or not 1 <= k <= top:
        raise ValueError(f"k: expected 1 to min(d_x, d_y) = {top}, got {shown(k)}")


def _whitened(covariances, k):
    """The covariances in whitened coordinates, once k is known to fit them."""
    whitened = covariances if isinstance(covariances, Whitened) else Whitened(covariances)
    check_rank(whitened.covariances, k)
    return whitened
