"""Separation ratios and the four regimes of the phase diagram that they make (K26, section 3).

An objective ranks directions by its spectrum and keeps the k first. Its separation ratio, the weakest
signal's value over the strongest nuisance's, says whether those are the signals: above 1 it recovers
them all. The ratios of alignment (CA) and of prediction (CP) together make the regime.
"""

import enum
from typing import SupportsInt

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_array, check_number, shown

# Two values within this many units in the last place of each other count as equal. The boundary itself
# counts as not recovered, and must do so in whatever order a compiler rounds.
_TIE_ULPS = 16


class Regime(enum.Enum):
    """Which objectives recover the whole shared signal (K26, section 3).

    Compiled code carries a regime as its integer `code`, with bit 0 for CA and bit 1 for CP:
    0 is Neither, 1 CA only, 2 CP only, 3 Both, and -1 says that an input was not admissible.

    >>> Regime.from_code(1)
    <Regime.CA_ONLY: 'CA only'>
    """

    NEITHER = "Neither"
    CA_ONLY = "CA only"
    CP_ONLY = "CP only"
    BOTH = "Both"

    @property
    def code(self) -> int:
        """The regime as an integer: 1 if alignment recovers the signal, plus 2 if prediction does."""
        return list(Regime).index(self)

    @classmethod
    def from_code(cls, code: SupportsInt) -> "Regime":
        """The regime with the given integer code.

        Raises:
            ValueError: a code other than 0, 1, 2 or 3.
        """
        number = check_number("code", code)
        if number not in range(4):
            raise ValueError(f"code: expected 0, 1, 2 or 3, got {shown(code)}")
        return list(cls)[int(number)]

    @classmethod
    @checked
    def from_ratios(cls, delta_ca: float, delta_cp: float) -> "Regime":
        """The regime that two separation ratios make: an objective recovers the signal where its ratio is above 1.

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
    """Whether a > b, where values that differ only by rounding count as equal."""
    tie = _TIE_ULPS * jnp.finfo(jnp.result_type(a, b, float)).eps
    return jnp.asarray(a) > jnp.asarray(b) * (1 + tie)


def regime_code_from_ratios(delta_ca: Float[ArrayLike, "..."], delta_cp: Float[ArrayLike, "..."]
                            ) -> Int[Array, "..."]:
    """Integer code of the regime that two separation ratios make; -1 where either is NaN."""
    delta_ca, delta_cp = jnp.asarray(delta_ca), jnp.asarray(delta_cp)
    code = exceeds(delta_ca, 1.0).astype(jnp.int32) + 2 * exceeds(delta_cp, 1.0).astype(jnp.int32)
    return jnp.where(jnp.isnan(delta_ca) | jnp.isnan(delta_cp), -1, code)


@checked
def separation_ratio(spectrum: Float[HostOrDevice, "m"], is_signal: Bool[HostOrDevice, "m"]) -> Float[Array, ""]:
    r"""Separation ratio of a spectrum: the least of the signal's values over the largest of the nuisance's.

    .. math::  \Delta = \min_{i \in \mathrm{signal}} s_i \,/\, \max_{j \in \mathrm{nuisance}} s_j

    Args:
        spectrum: singular values s >= 0 in any order and unit, shape (m,).
        is_signal: which of them belong to signal directions, shape (m,).

    Returns:
        Delta: 0 without signal or where a signal's value is 0, +inf without nuisance, NaN for NaN.

    Source: K26, Proposition 3.1.

    >>> float(separation_ratio(jnp.array([1.0, 0.8, 0.5]), jnp.array([True, False, False])))
    1.25
    """
    spectrum = jnp.asarray(check_array("spectrum", spectrum, 1))
    is_signal = jnp.asarray(check_array("is_signal", is_signal))
    if is_signal.shape != spectrum.shape or is_signal.dtype != bool:
        raise ValueError(f"is_signal: expected {len(spectrum)} booleans as there are values in spectrum, got shape "
                         f"{is_signal.shape} of {is_signal.dtype}")
    weakest = jnp.min(jnp.where(is_signal, spectrum, jnp.inf), initial=jnp.inf)
    strongest = jnp.max(jnp.where(is_signal, 0, spectrum), initial=0)
    # The division is guarded on both sides: the branch not taken must not send a NaN back
    # through the gradient.
    ratio = jnp.where(strongest > 0, weakest / jnp.where(strongest > 0, strongest, 1), jnp.inf)
    ratio = jnp.where(jnp.any(is_signal) & (weakest > 0), ratio, 0)
    return jnp.where(jnp.isnan(weakest) | jnp.isnan(strongest), jnp.nan, ratio)
