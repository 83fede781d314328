"""How much each parameter of a pair of instruments moves the separation ratios and the label content."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.validation import is_traced
from phasejax.instruments._instrument import Instrument
from phasejax.instruments._moments import ROWS, checked_settings, compiled
from phasejax.instruments._regime import checked_width, ratios_of


@dataclass(frozen=True)
class InstrumentSensitivity:
    """Derivatives with respect to the logarithm of each parameter.

    Args:
        k: width of the bottleneck.
        labels: names of the labels.
        elasticities: d log Delta / d log parameter by ratio ("ca", "cp", "cp_reverse") and parameter; 0 for a
            parameter that is 0, which no relative change moves.
        content: d s(k) / d log parameter, by the same names.
    """

    k: int
    labels: tuple[str, ...]
    elasticities: dict[str, dict[str, float]]
    content: dict[str, dict[str, float]]

    def summary(self) -> str:
        """A table, and a line per ratio on the parameter that moves it most."""
        words = {"ca": "CA", "cp": "CP x->y", "cp_reverse": "CP y->x"}
        names = list(self.elasticities["ca"])
        width = max(map(len, names)) + 2
        head = [f"log Delta {word}" for word in words.values()] + [f"s {word}" for word in words.values()]
        lines = [f"{'d / d log parameter':<{width}}" + "".join(f"{word:>19}" for word in head)]
        lines += [f"{name:<{width}}" + "".join(f"{significant(of[ratio][name], 2):>19}" for of in
                                               (self.elasticities, self.content) for ratio in words) for name in names]
        for ratio, word in words.items():
            name = max(names, key=lambda one: abs(self.elasticities[ratio][one]))
            lines.append(f"{word}: {name} moves Delta most, by {significant(self.elasticities[ratio][name], 2)} % for "
                         "1 % more of it.")
        return "\n".join(lines)


@checked
def instrument_sensitivity(instrument: Instrument, k: int | None = None, labels: Sequence[str] | None = None, *,
                           rows: int = ROWS, seed: int = 0) -> InstrumentSensitivity:
    r"""Derivatives of separation ratios and label content with respect to every parameter of a pair of instruments.

    .. math::  \partial \log \Delta / \partial \log \theta, \qquad \partial s(k) / \partial \log \theta

    by automatic differentiation of `instrument_ratios`, one parameter at a time, with the same objects throughout.

    Args:
        instrument: a concrete one.
        k, labels, rows, seed: as `instrument_ratios` takes them.

    Raises:
        ValueError: as `instrument_ratios`; or a traced instrument.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> found = instrument_sensitivity(STAR_PRESETS["neither"], rows=500)
    >>> found.elasticities["cp"]["field_extinction"] < 0
    True
    """
    if is_traced(*jax.tree.leaves(instrument)):
        raise ValueError("instrument: expected a concrete instrument, got a traced one")
    names, key = checked_settings(instrument, labels, rows, seed)
    k = checked_width(instrument, names, k)
    parameters = list(type(instrument).parameters())
    logs: dict[str, dict[str, float]] = {ratio: {} for ratio in ("ca", "cp", "cp_reverse")}
    content: dict[str, dict[str, float]] = {ratio: {} for ratio in logs}
    for name in parameters:
        # A tangent of theta itself makes the derivative one by log theta.
        tangent = [np.asarray(getattr(instrument, one) if one == name else 0.0, np.float64) for one in parameters]
        value, slope = compiled(_slope)((instrument, tangent), key, names, rows, k)
        for ratio in logs:
            logs[ratio][name] = float(getattr(slope, f"delta_{ratio}") / getattr(value, f"delta_{ratio}"))
            content[ratio][name] = float(getattr(slope.content, ratio))
    return InstrumentSensitivity(k=k, labels=names, elasticities=logs, content=content)


def _slope(both, key, names, rows, k):
    """Ratios, and their derivatives along a tangent of the parameters."""
    instrument, tangent = both
    tangent = jax.tree.unflatten(jax.tree.structure(instrument), tangent)
    return jax.jvp(lambda one: ratios_of(one, key, names, rows, k), (instrument,), (tangent,))
