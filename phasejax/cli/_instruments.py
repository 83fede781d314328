"""The command `phasejax instruments`: what would a pair of instruments see, and which upgrade changes the regime?"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from phasejax._core.atomic_files import check_outputs, written_together
from phasejax._core.terminal import printable
from phasejax.cli._files import check_ending, say_written, write_json

if TYPE_CHECKING:
    from phasejax.instruments import Instrument, InstrumentRegime, InstrumentSensitivity, Upgrade

_FIGURES = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class InstrumentReport:
    """All that the command finds.

    Args:
        instrument: simulated.
        regime: where it lies.
        sensitivity: how its parameters move it.
        upgrades: the least changes of single parameters that lead elsewhere.
    """

    instrument: "Instrument"
    regime: "InstrumentRegime"
    sensitivity: "InstrumentSensitivity"
    upgrades: tuple["Upgrade", ...]

    def summary(self) -> str:
        """The three parts as text, with a line where no change leads to another regime."""
        changes = [one.summary() for one in self.upgrades] or ["no change of a single parameter by a factor of up to "
                                                               "1000 within its range"]
        return "\n".join([self.regime.summary(), "", self.sensitivity.summary(), "",
                          "Least changes of single parameters that lead into another regime:", *changes])

    def to_json(self) -> str:
        """All numbers as JSON text."""
        from phasejax._core.serialise import plain, schema
        from phasejax._version import __version__

        parameters = {name: {"value": float(getattr(self.instrument, name)), **about}
                      for name, about in type(self.instrument).parameters().items()}
        design = {name: value for name, value in _fields(self.instrument).items() if name not in parameters}
        found = {"instrument": type(self.instrument).__name__, "parameters": parameters, "design": design,
                  "regime": self.regime.regime.value, **{name: value for name, value in asdict(self.regime).items()
                                                         if name != "regime"},
                  "elasticities": self.sensitivity.elasticities, "content_slopes": self.sensitivity.content,
                  "upgrades": [{"parameter": one.parameter, "unit": one.unit, "before": one.before,
                                "after": one.after, "regime": one.regime[1].regime.value,
                                "content": one.regime[1].content, "delta": one.regime[1].delta}
                               for one in self.upgrades]}
        return json.dumps({**schema("phasejax.instruments", 1), "phasejax_version": __version__, **plain(found)},
                          indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Instruments:
    """What would a pair of simulated instruments see, and which upgrade changes the regime?

    Example: phasejax instruments stars --preset tess --set photometric_noise=300 --figure tess.pdf

    "stars" are a spectrograph and a photometer that look at the same stars, "cite" are counts of RNA and of proteins of
    the same cells. The regime with unlimited objects follows from covariances of simulated views; derivatives say how
    each parameter moves it. Half a minute and more.
    """

    kind: Annotated[Literal["stars", "cite"], tyro.conf.Positional]
    """Which pair of instruments."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "both"
    """Where to start: both, ca_only, cp_only, neither; of stars also kepler and tess."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE [NAME=VALUE ...]")] = ()
    """What is other than the preset's, such as field_extinction=0.5, genes=100 or proportions=.5,.3,.2."""
    labels: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="LABEL [LABEL ...]")] = None
    """What counts as the signal; log_g of stars and cell_type of cells when left out."""
    k: int | None = None
    """Width of the bottleneck; a default of the instrument when left out."""
    target: Annotated[str | None, tyro.conf.arg(metavar="REGIME")] = None
    """The regime that an upgrade is to reach: Both, CA only, CP only or Neither; any other when left out."""
    parameters: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """Parameters that an upgrade may change; all when left out."""
    rows: int = 4096
    """Simulated objects that the covariances rest on."""
    seed: int = 0
    """Of their draw."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write all numbers as JSON to this file (docs/json.md says what the keys are)."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw what both instruments see and the places in the phase diagram: .pdf, .png or .svg."""

    def run(self) -> int:
        """Compute, write the files that were asked for, and print."""
        check_ending("--figure", self.figure, _FIGURES)
        check_outputs((self.json, self.figure), ())
        instrument = self._instrument()

        from phasejax.instruments import instrument_regime, instrument_sensitivity, upgrades

        asked: dict[str, Any] = {"k": self.k, "labels": self.labels, "rows": self.rows, "seed": self.seed}
        regime = instrument_regime(instrument, **asked)
        changes = upgrades(instrument, self.target, parameters=self.parameters, progress=True, **asked)
        found = InstrumentReport(instrument, regime, instrument_sensitivity(instrument, **asked), changes)
        with written_together() as place:
            write_json(self.json and place(self.json), found)
            if self.figure is not None:
                from phasejax.cli._instruments_figure import draw_instruments

                draw_instruments(found, place(self.figure), self.figure.suffix[1:].lower())
        say_written(self.json, self.figure)
        print(printable(found.summary()))
        return 0

    def _instrument(self) -> "Instrument":
        from phasejax._core.validation import check_choice
        from phasejax.instruments import CITE_PRESETS, STAR_PRESETS

        presets: dict[str, Any] = {"stars": STAR_PRESETS, "cite": CITE_PRESETS}[self.kind]
        check_choice("--preset", self.preset, presets)
        instrument, changed = presets[self.preset], {}
        for given in self.set:
            name, equals, text = given.partition("=")
            if not equals or not name:
                raise ValueError(f"--set: expected NAME=VALUE, got {given!r}")
            if name in changed:
                raise ValueError(f"--set: expected each parameter once, got {name} twice")
            known = _fields(instrument)
            check_choice("--set", name, known)
            changed[name] = _value(name, text, known[name])
        return instrument.replace(**changed)


def _fields(instrument: Any) -> dict[str, Any]:
    return {field.name: getattr(instrument, field.name) for field in fields(instrument)}


def _value(name: str, text: str, before: Any) -> Any:
    """A value of the same kind as the preset's: a number, a whole one, or several that commas separate."""
    of_kind = {int: ("a whole number", int), tuple: ("numbers separated by commas", _several)}
    kind, read = of_kind.get(type(before), ("a number", float))
    try:
        return read(text)
    except ValueError:
        raise ValueError(f"--set: expected {kind} for {name}, got {text!r}") from None


def _several(text):
    return tuple(map(float, text.split(",")))
