"""The four regimes of the phase diagram."""

import enum

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from phasejax._core.pytree import HostOrDevice

# Two values closer than this many units in the last place are a tie. The boundary itself
# counts as not recovered, and must do so whatever order a compiler rounds in.
_TIE_ULPS = 16


class Regime(enum.Enum):
    """Which objective recovers the whole shared signal (K26, section 3).

    Compiled code carries a regime as its integer `code`, bit 0 for CA and bit 1 for CP, so
    0 Neither, 1 CA only, 2 CP only, 3 Both; -1 says that an input was not admissible.

    >>> Regime.from_code(1)
    <Regime.CA_ONLY: 'CA only'>
    """

    NEITHER = "Neither"
    CA_ONLY = "CA only"
    CP_ONLY = "CP only"
    BOTH = "Both"

    @property
    def code(self) -> int:
        return list(Regime).index(self)

    @classmethod
    def from_code(cls, code) -> "Regime":
        """The regime of one integer code. Raises ValueError for any other number."""
        if int(code) not in range(4):
            raise ValueError(f"code: expected 0, 1, 2 or 3, got {int(code)}")
        return list(cls)[int(code)]

    @classmethod
    def from_ratios(cls, delta_ca: float, delta_cp: float) -> "Regime":
        """The regime of two separation ratios: an objective recovers when its ratio is above 1.

        Raises:
            ValueError: a ratio that is NaN.

        >>> Regime.from_ratios(1.2, 0.4)
        <Regime.CA_ONLY: 'CA only'>
        """
        code = int(regime_code_from_ratios(delta_ca, delta_cp))
        if code < 0:
            raise ValueError(f"delta_ca, delta_cp: expected two numbers, got {delta_ca} and {delta_cp}")
        return cls.from_code(code)


def exceeds(a: ArrayLike, b: ArrayLike) -> Array:
    """a > b, with values that differ only by rounding counted as equal."""
    tie = _TIE_ULPS * jnp.finfo(jnp.result_type(a, b, float)).eps
    return jnp.asarray(a) > jnp.asarray(b) * (1 + tie)


def regime_code_from_ratios(delta_ca: Float[ArrayLike, "..."], delta_cp: Float[ArrayLike, "..."]
                            ) -> Int[Array, "..."]:
    """Code of the regime with the given separation ratios; -1 where either is NaN."""
    delta_ca, delta_cp = jnp.asarray(delta_ca), jnp.asarray(delta_cp)
    code = exceeds(delta_ca, 1.0).astype(jnp.int32) + 2 * exceeds(delta_cp, 1.0).astype(jnp.int32)
    return jnp.where(jnp.isnan(delta_ca) | jnp.isnan(delta_cp), -1, code)


def separation_ratio(spectrum: Float[HostOrDevice, "m"], is_signal: Bool[HostOrDevice, "m"]) -> Float[Array, ""]:
    """Delta = min of the signal's values / max of the nuisance's values.

    0 without signal (also when a signal value is 0), +inf without nuisance.

    Source: K26, Proposition 3.1.

    >>> float(separation_ratio(jnp.array([1.0, 0.8, 0.5]), jnp.array([True, False, False])))
    1.25
    """
    spectrum, is_signal = jnp.asarray(spectrum), jnp.asarray(is_signal)
    weakest = jnp.min(jnp.where(is_signal, spectrum, jnp.inf), initial=jnp.inf)
    strongest = jnp.max(jnp.where(is_signal, 0, spectrum), initial=0)
    # The division is guarded on both sides: the branch not taken must not send a NaN back
    # through the gradient.
    ratio = jnp.where(strongest > 0, weakest / jnp.where(strongest > 0, strongest, 1), jnp.inf)
    ratio = jnp.where(jnp.any(is_signal) & (weakest > 0), ratio, 0)
    return jnp.where(jnp.isnan(weakest) | jnp.isnan(strongest), jnp.nan, ratio)
