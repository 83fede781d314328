"""The spiked model with correlated nuisance (K26, eq. 4, 18-20): parameters, checks and canonical moments."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.overview import Overview, Shown
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_count, did_you_mean, is_traced, shown


@pytree
class SpikedModel(Shown):
    r"""Two views of k shared signals, buried in noise and in correlated nuisance.

    .. math::
        x = Q_x [s + e_x;\; u], \qquad y = Q_y [s + e_y;\; v], \qquad
        s_i \sim N(0, \kappa_i^2), \quad e_{x,i} \sim N(0, \gamma_{x,i}), \quad
        e_{y,i} \sim N(0, \gamma_{y,i})

    with nuisance variances var(u_j) = nuisance_x_j, var(v_j) = nuisance_y_j and correlation
    corr(u_j, v_j) = nu_j. Views of different dimension share the first
    p = min(d_x, d_y) - k nuisance coordinates; the others are uncorrelated. The orthogonal
    bases Q_x, Q_y are not part of the model: no solution's quality depends on them.

    Numbers and NumPy arrays are kept as float64 on the host, so that no digit of a parameter
    is lost before a computation chooses its precision; JAX arrays are kept as they are.
    `SpikedModel.create`, `homogeneous` and `geometric` build models from fewer numbers.

    Args:
        kappa: signal strengths, standard deviation of s; shape (k,), >= 0, data units.
        nu: nuisance correlations; shape (p,), in [0, 1].
        gamma_x: noise variances on x's signal coordinates; shape (k,), >= 0, data units squared.
        gamma_y: the same for y.
        nuisance_x: variances of x's nuisance coordinates; shape (d_x - k,), >= 0.
        nuisance_y: the same for y; shape (d_y - k,).

    Raises:
        ValueError: a shape that does not fit the others, or a value out of its range. Traced
            values cannot be looked at: those out of range become NaN instead.

    Source: K26, eq. 4 and 18-20, with d_x != d_y allowed.

    >>> from phasejax import SpikedModel
    >>> model = SpikedModel.homogeneous(kappa=2.0, nu=0.5, k=3, d=20)
    >>> model.k, model.d_x, model.nu.shape
    (3, 20, (17,))
    """

    kappa: Float[HostOrDevice, "k"]
    nu: Float[HostOrDevice, "p"]
    gamma_x: Float[HostOrDevice, "k"]
    gamma_y: Float[HostOrDevice, "k"]
    nuisance_x: Float[HostOrDevice, "q_x"]
    nuisance_y: Float[HostOrDevice, "q_y"]

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _as_array(field.name, getattr(self, field.name))
            if value.ndim != 1:
                raise ValueError(f"{field.name}: expected one dimension, got shape {value.shape}")
            object.__setattr__(self, field.name, _admissible(field.name, value))
        k, q_x, q_y = len(self.kappa), len(self.nuisance_x), len(self.nuisance_y)
        if k == 0:
            raise ValueError("kappa: expected at least one signal, got none")
        for name, length in {"gamma_x": k, "gamma_y": k, "nu": min(q_x, q_y)}.items():
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name}: expected {length} values (kappa has {k}, nuisance_x {q_x}, "
                                 f"nuisance_y {q_y}), got {len(getattr(self, name))}")

    @classmethod
    @checked
    def create(cls, kappa: ArrayLike | Sequence, nu: ArrayLike | Sequence, *, gamma_x: ArrayLike | Sequence = 1.0,
               gamma_y: ArrayLike | Sequence = 1.0, nuisance_x: ArrayLike | Sequence = 1.0,
               nuisance_y: ArrayLike | Sequence = 1.0, d: int, d_y: int | None = None) -> "SpikedModel":
        """A model from one kappa per signal; every other number is spread over its coordinates.

        Args:
            kappa: signal strengths, shape (k,).
            nu, gamma_x, gamma_y, nuisance_x, nuisance_y: a number, or an array of the shape
                that `SpikedModel` asks for.
            d: dimension of x, and of y unless `d_y` says otherwise.

        Raises:
            ValueError: as `SpikedModel`, and when k > min(d_x, d_y).

        >>> SpikedModel.create([3.0, 2.0], nu=0.2, d=5, d_y=4).nuisance_y.shape
        (2,)
        """
        kappa = _as_array("kappa", kappa)
        if kappa.ndim != 1:
            raise ValueError(f"kappa: expected one dimension, got shape {kappa.shape}")
        k, d_y = len(kappa), d if d_y is None else d_y
        for name, size in (("d", d), ("d_y", d_y)):
            check_memory(name, 16 * check_count(name, size))
        if k > min(d, d_y):
            raise ValueError(f"k: expected at most min(d_x, d_y) = {min(d, d_y)} signals, got {k}")
        shapes = {"nu": min(d, d_y) - k, "gamma_x": k, "gamma_y": k,
                  "nuisance_x": d - k, "nuisance_y": d_y - k}
        values = {"nu": nu, "gamma_x": gamma_x, "gamma_y": gamma_y,
                  "nuisance_x": nuisance_x, "nuisance_y": nuisance_y}
        return cls(kappa=kappa, **{name: _spread(name, value, shapes[name])
                                   for name, value in values.items()})

    @classmethod
    @checked
    def homogeneous(cls, kappa: ArrayLike | Sequence, nu: ArrayLike | Sequence, *, k: int, d: int,
                    d_y: int | None = None, gamma_x: ArrayLike | Sequence = 1.0, gamma_y: ArrayLike | Sequence = 1.0,
                    nuisance_x: ArrayLike | Sequence = 1.0, nuisance_y: ArrayLike | Sequence = 1.0) -> "SpikedModel":
        """k signals of the same strength `kappa`; otherwise as `create`."""
        check_memory("k", 16 * check_count("k", k))
        return cls.create(_spread("kappa", kappa, k), nu, gamma_x=gamma_x, gamma_y=gamma_y,
                          nuisance_x=nuisance_x, nuisance_y=nuisance_y, d=d, d_y=d_y)

    @classmethod
    @checked
    def geometric(cls, kappa_bar: ArrayLike, nu: ArrayLike | Sequence, *, decay: ArrayLike, k: int, d: int,
                  d_y: int | None = None, gamma_x: ArrayLike | Sequence = 1.0, gamma_y: ArrayLike | Sequence = 1.0,
                  nuisance_x: ArrayLike | Sequence = 1.0, nuisance_y: ArrayLike | Sequence = 1.0) -> "SpikedModel":
        """k signals of strength kappa_i = kappa_bar decay^(i-1) (K26, Fig. 7); otherwise as `create`.

        >>> SpikedModel.geometric(2.0, 0.1, decay=0.5, k=3, d=8).kappa
        array([2. , 1. , 0.5])
        """
        check_memory("k", 16 * check_count("k", k))
        strengths = _as_array("kappa_bar", kappa_bar) * _as_array("decay", decay) ** np.arange(k)
        return cls.create(strengths, nu, gamma_x=gamma_x, gamma_y=gamma_y,
                          nuisance_x=nuisance_x, nuisance_y=nuisance_y, d=d, d_y=d_y)

    def replace(self, **fields: ArrayLike | Sequence) -> "SpikedModel":
        """A copy with the named fields changed; a number is spread over the field's coordinates.

        Raises:
            ValueError: a name that is no field, or a value that `SpikedModel` refuses.
        """
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in fields.items():
            if name not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}{did_you_mean(name, known)}")
            known[name] = _spread(name, value, len(known[name]))
        return SpikedModel(**known)

    def reverse(self) -> "SpikedModel":
        """The same model with the two views swapped: predicting y from x becomes x from y."""
        return SpikedModel(kappa=self.kappa, nu=self.nu, gamma_x=self.gamma_y, gamma_y=self.gamma_x,
                           nuisance_x=self.nuisance_y, nuisance_y=self.nuisance_x)

    def _overview(self) -> Overview:
        from phasejax.theory._overview import overview_of_model  # which needs this module

        return overview_of_model(self)

    @property
    def k(self) -> int:
        """Number of shared signals."""
        return self.kappa.shape[-1]

    @property
    def d_x(self) -> int:
        """Dimension of x."""
        return self.k + self.nuisance_x.shape[-1]

    @property
    def d_y(self) -> int:
        """Dimension of y."""
        return self.k + self.nuisance_y.shape[-1]

    @property
    def eta(self) -> Float[Array, "p"]:
        """Nuisance covariances eta_j = nu_j sqrt(nuisance_x_j nuisance_y_j)."""
        p = self.nu.shape[-1]
        return jnp.asarray(self.nu) * jnp.sqrt(jnp.asarray(self.nuisance_x[:p] * self.nuisance_y[:p]))


def _as_array(name: str, value) -> HostOrDevice:
    if isinstance(value, Array):
        array = value
    elif np.ma.is_masked(value):
        raise ValueError(f"{name}: expected real numbers, got masked values")
    else:
        try:
            array = np.asarray(value)
        except ValueError:
            raise ValueError(f"{name}: expected numbers, got rows of different lengths") from None
        except Exception:  # whatever an object's own conversion raises
            raise ValueError(f"{name}: expected real numbers, got {shown(value)}") from None
    if jnp.issubdtype(array.dtype, jnp.integer):
        array = array.astype(float)
    # NumPy does not know bfloat16 and its like as floating (their kind is "V"); JAX does.
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if isinstance(array, np.ndarray):
        array = np.asarray(array, np.float64)
    return array


def _spread(name: str, value, length: int) -> HostOrDevice:
    array = _as_array(name, value)
    if array.shape not in ((), (length,)):
        raise ValueError(f"{name}: expected a number or {length} values, got shape {array.shape}")
    return (np if isinstance(array, np.ndarray) else jnp).broadcast_to(array, (length,))


def _admissible(name: str, array: HostOrDevice) -> HostOrDevice:
    top = 1.0 if name == "nu" else np.inf
    if is_traced(array):
        return jnp.where((array >= 0) & (array <= top), array, jnp.nan)
    values = np.asarray(array)
    bad = ~((values >= 0) & (values <= top) & (values < np.inf))
    if bad.any():
        expected = "values in [0, 1]" if name == "nu" else "finite values >= 0"
        raise ValueError(f"{name}: expected {expected}, got {values[bad][0]:g} at index {bad.argmax()}")
    return array


def canonical_moments(model: SpikedModel) -> tuple[Float[Array, "d_x"], Float[Array, "m"],
                                                   Float[Array, "d_y"]]:
    """Second moments of a model in the canonical bases Q_x = Q_y = I, where all others are zero (K26, eq. 18-20).

    Returns:
        Variances of x (d_x,), covariances of the m = min(d_x, d_y) paired coordinates, and variances of y (d_y,).
    """
    signal = jnp.asarray(model.kappa) ** 2
    return (jnp.concatenate([signal + model.gamma_x, jnp.asarray(model.nuisance_x)]),
            jnp.concatenate([signal, model.eta]),
            jnp.concatenate([signal + model.gamma_y, jnp.asarray(model.nuisance_y)]))
