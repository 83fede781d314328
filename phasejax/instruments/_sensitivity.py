"""How much each parameter of a pair of instruments moves the separation ratios and the label content."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from phasejax._core.axes import axes_or_new
from phasejax._core.checked_call import checked
from phasejax._core.colours import OBJECTIVE_COLOURS
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax._core.validation import is_traced
from phasejax.instruments._instrument import Instrument
from phasejax.instruments._moments import ROWS, checked_settings, compiled
from phasejax.instruments._regime import checked_width, ratios_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_WORDS = {"ca": "CA", "cp": "CP x->y", "cp_reverse": "CP y->x"}


@dataclass(frozen=True)
class InstrumentSensitivity(Record):
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

    _kind = "phasejax.instrument_sensitivity"

    def _overview(self) -> Overview:
        """The parameters that move a ratio most come first."""
        ranked = sorted(self.elasticities["ca"],
                        key=lambda one: -max(abs(self.elasticities[ratio][one]) for ratio in ("ca", "cp")))
        return Overview(
            kind="Sensitivity", answer="; ".join(self._strongest(("ca", "cp"))),
            columns=("parameter", *(f"log Delta {word}" for word in _WORDS.values()),
                     *(f"s {word}" for word in _WORDS.values())),
            rows=[(name, *(significant(of[ratio][name], 2) for of in (self.elasticities, self.content)
                           for ratio in _WORDS)) for name in ranked],
            note=f"derivatives by the logarithm of a parameter; labels {', '.join(self.labels)}, k = {self.k}")

    def to_frame(self) -> "pd.DataFrame":
        """A row for each parameter, with the derivatives of the logarithms of ratios and of label contents."""
        import pandas as pd

        return pd.DataFrame({"parameter": list(self.elasticities["ca"]),
                             **{f"log_delta_{ratio}": list(self.elasticities[ratio].values()) for ratio in _WORDS},
                             **{f"content_{ratio}": list(self.content[ratio].values()) for ratio in _WORDS}})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the elasticities of the separation ratios of CA and of CP x->y as bars.

        Args:
            ax: where to draw; new axes by default.

        Returns:
            The axes.
        """
        names = list(self.elasticities["ca"])
        ax = axes_or_new(ax, height=0.8 + 0.22 * len(names))
        for ratio, colour, aside in (("ca", "CA", -0.2), ("cp", "CP", 0.2)):
            ax.barh(np.arange(len(names)) + aside, [self.elasticities[ratio][one] for one in names], height=0.4,
                    color=OBJECTIVE_COLOURS[colour], label=_WORDS[ratio].replace("->", "→"))
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5),
               xlabel=r"$d \log \Delta \,/\, d \log$ parameter")
        ax.legend(frameon=False)
        return ax

    def _strongest(self, ratios: Sequence[str]) -> Iterator[str]:
        """Of each ratio which parameter moves it most."""
        for ratio in ratios:
            name = max(self.elasticities[ratio], key=lambda one, ratio=ratio: abs(self.elasticities[ratio][one]))
            yield (f"{_WORDS[ratio]}: {name} moves Delta most, by {significant(self.elasticities[ratio][name], 2)} % "
                   "for 1 % more of it")

    def summary(self) -> str:
        """A table, and a line per ratio on the parameter that moves it most."""
        names = list(self.elasticities["ca"])
        width = max(map(len, names)) + 2
        head = [f"log Delta {word}" for word in _WORDS.values()] + [f"s {word}" for word in _WORDS.values()]
        lines = [f"{'d / d log parameter':<{width}}" + "".join(f"{word:>19}" for word in head)]
        lines += [f"{name:<{width}}" + "".join(f"{significant(of[ratio][name], 2):>19}" for of in
                                               (self.elasticities, self.content) for ratio in _WORDS)
                  for name in names]
        return "\n".join([*lines, *(f"{one}." for one in self._strongest(tuple(_WORDS)))])


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
