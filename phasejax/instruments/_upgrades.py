"""Which upgrade changes the regime: for each parameter of an instrument the least relative change that does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.records import Record
from phasejax._core.validation import check_among, is_traced
from phasejax.instruments._instrument import Instrument
from phasejax.instruments._moments import ROWS, checked_settings, compiled
from phasejax.instruments._regime import InstrumentRegime, checked_width, ratios_of, regime_of
from phasejax.theory import Regime
from phasejax.theory._nearest_boundary import checked_regime

if TYPE_CHECKING:
    import pandas as pd

# Logarithms of the factors that are tried, to 1000 either way; between two of them a change of the regime and back
# would not be seen. Then the factor is found to one part in a thousand.
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 1.9, 2.5, 3.2, 4.0, 5.0, 6.0, math.log(1000))
_HALVINGS = 8


@dataclass(frozen=True)
class Upgrade(Record):
    """The least relative change of one parameter that leads into another regime.

    Args:
        parameter: its name.
        unit: of its values.
        before, after: its values.
        regime: before and after the change.
    """

    parameter: str
    unit: str
    before: float
    after: float
    regime: tuple[InstrumentRegime, InstrumentRegime]

    _kind = "phasejax.upgrade"

    def _overview(self) -> Overview:
        return Overview(kind="Upgrade", answer=self.summary())

    def to_frame(self) -> "pd.DataFrame":
        """Two rows: the parameter, the regime, contents and ratios before and after the change."""
        import pandas as pd

        values = pd.DataFrame({self.parameter: [self.before, self.after]})
        return values.join(pd.concat([one.to_frame() for one in self.regime], ignore_index=True))

    @property
    def log_change(self) -> float:
        """Logarithm of the factor by which the parameter changes."""
        return math.log(self.after / self.before)

    def summary(self) -> str:
        """The change in one line."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        (old, new), words = self.regime, {"ca": "CA", "cp": "CP"}
        contents = ", ".join(f"{word} {old.content[name]:.2f} -> {new.content[name]:.2f}"
                             for name, word in words.items())
        return (f"{self.parameter} {significant(self.before)} -> {significant(self.after)}{unit} "
                f"(x {significant(self.after / self.before)}): {old.regime.value} -> {new.regime.value} "
                f"(content {contents}; shared {old.shared:.2f} -> {new.shared:.2f})")


@checked
def upgrades(instrument: Instrument, target: Regime | str | None = None, k: int | None = None,
             labels: Sequence[str] | None = None, *, parameters: Sequence[str] | None = None, rows: int = ROWS,
             seed: int = 0, progress: bool | ProgressCallback = False) -> tuple[Upgrade, ...]:
    r"""Changes of single parameters that take a pair of instruments into another regime, the least change first.

    .. math::  \min |\log f| \quad \text{such that the regime with the parameter at } f\theta
               \text{ is the target}

    with factors f from 1/1000 to 1000 within the parameter's range. A change may be for the better or for the worse:
    where `InstrumentRegime.shared` falls with it, the regime concerns less of the labels than before. A parameter that
    is 0, or of which no such change leads there, is left out.

    Args:
        instrument: a concrete one.
        target: a `Regime` or its value; any other than the present one when left out.
        k, labels, rows, seed: as `instrument_ratios` takes them.
        parameters: names of the parameters that may change; all when left out.
        progress: whether to report the parameters that are done.

    Raises:
        ValueError: as `instrument_ratios`; an unknown target or parameter, or a traced instrument.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> found = upgrades(STAR_PRESETS["cp_only"], "Both", parameters=["magnitude_scatter"], rows=500)
    >>> 1 < found[0].after / found[0].before < 10
    True
    """
    if is_traced(*jax.tree.leaves(instrument)):
        raise ValueError("instrument: expected a concrete instrument, got a traced one")
    names, key = checked_settings(instrument, labels, rows, seed)
    k, known = checked_width(instrument, names, k), type(instrument).parameters()
    if parameters is None:
        chosen = list(known)
    else:
        check_among("parameters", (parameters,) if isinstance(parameters, str) else parameters, known)
        chosen = list(dict.fromkeys([parameters] if isinstance(parameters, str) else parameters))
    wanted = None if target is None else checked_regime(target)

    def found(one: Instrument) -> InstrumentRegime:
        return regime_of(compiled(ratios_of)(one, key, names, rows, k), k, names)

    present, changes = found(instrument), []
    if present.regime is wanted:
        return ()
    with reporting(progress) as tell:
        for done, name in enumerate(chosen, start=1):
            changes.append(_least_change(instrument, name, known[name]["unit"], present, wanted, found))
            tell("parameters", done, len(chosen))
    return tuple(sorted((one for one in changes if one is not None), key=lambda one: abs(one.log_change)))


def _least_change(instrument, name, unit, present, wanted, found) -> Upgrade | None:
    """The least change of one parameter, or None."""
    before = float(getattr(instrument, name))

    def at(log):
        try:
            return found(instrument.replace(**{name: before * math.exp(log)}))
        except ValueError:  # out of the parameter's range
            return None

    def there(regime):
        return regime is not None and (regime.regime is wanted if wanted else regime.regime is not present.regime)

    if before == 0:
        return None
    inner, open_ends = 0.0, {1, -1}
    for step in _STEPS:
        reached = {}
        for sign in sorted(open_ends):
            regime = at(sign * step)
            if regime is None:
                open_ends.discard(sign)
            elif there(regime):
                reached[sign] = _bisected(at, there, sign, inner, step, regime)
        if reached:
            sign = min(reached, key=lambda one: reached[one][0])
            log, regime = reached[sign]
            return Upgrade(parameter=name, unit=unit, before=before, after=before * math.exp(sign * log),
                           regime=(present, regime))
        inner = step
    return None


def _bisected(at, there, sign, inner, outer, regime):
    """The outer end of the bracket of a change of the regime after some halvings, and the regime there."""
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        candidate = at(sign * middle)
        if there(candidate):
            outer, regime = middle, candidate
        else:
            inner = middle
    return outer, regime
