"""The command `phasejax plan`: how many pairs and how many labels are needed?"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from phasejax._core.atomic_files import check_outputs, written_together
from phasejax._core.terminal import printable
from phasejax.cli._files import check_ending, say_written, write_json
from phasejax.cli._options import FIGURES, UNNAMED, ProgressOption

# Options that describe a model, and what they are called in `SpikedModel`.
_MODEL = {"gamma_x": "gamma_x", "gamma_y": "gamma_y", "nuisance_x": "nuisance_x", "nuisance_y": "nuisance_y"}


@dataclass(frozen=True)
class Plan:
    """How many pairs and labels decide the regime of a model, or reach an error, with a given probability?

    Example: phasejax plan --kappa 1.5 --k 3 --nu 0.4 --gamma 0.5 --dim-x 20 --dim-y 20 --nuisance-y 2

    The model is described by its parameters, or by a pilot, a saved diagnosis. The regime is right where alignment and
    prediction each keep more, or less, than 0.8 of what the views share, as with unlimited pairs. From finite-sample
    theory, without simulation.
    """

    kappa: Annotated[list[float] | None, tyro.conf.arg(metavar="KAPPA [KAPPA ...]")] = None
    """Strength of each signal, a standard deviation in data units; one number for --k equal ones."""
    nu: Annotated[list[float] | None, tyro.conf.arg(metavar="NU [NU ...]")] = None
    """Correlation of the nuisance, 0 to 1: one number, or one for each of the min(dim-x, dim-y) - k coordinates."""
    k: int | None = None
    """Number of signals, where --kappa is one number; 1 when left out."""
    dim_x: int | None = None
    """Columns of x."""
    dim_y: int | None = None
    """Columns of y; as many as x has when left out."""
    gamma: float | None = None
    """Noise variance on the signals in both views, data units squared; 1 when left out."""
    gamma_x: float | None = None
    """The same in x alone."""
    gamma_y: float | None = None
    """The same in y alone."""
    nuisance_x: float | None = None
    """Variance of x's nuisance coordinates, data units squared; 1 when left out."""
    nuisance_y: float | None = None
    """Variance of y's nuisance coordinates; 1 when left out."""
    pilot: Annotated[str | None, tyro.conf.arg(metavar="DIAGNOSIS.json")] = None
    """What phasejax diagnose --json wrote, in place of a model's parameters; with diagnose --draws, also how well the
    pilot tells the numbers."""
    draws: int = 12
    """Draws of the pilot's parameters, a second or so each, that say how well it tells the numbers; 0 for none."""
    probability: float = 0.9
    """Probability with which the regime is to be right, or the error reached."""
    error: float | None = None
    """Ask for an error instead of the regime: the largest share of what the views share that may be lost."""
    label_r2: Annotated[float | None, tyro.conf.arg(metavar="R2")] = None
    """Share of the labels' variance that the signals explain; 1, or the pilot's estimate, when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the plan as JSON to this file (docs/json.md says what the keys are)."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw probability and expected content against the number of pairs: .pdf, .png or .svg."""
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Plan, write the files that were asked for, and print a table and the verdict."""
        check_ending("--figure", self.figure, FIGURES)
        check_outputs((self.json, self.figure), (self.pilot,))
        found = self._planned()
        with written_together() as place:
            write_json(self.json and place(self.json), found)
            if self.figure is not None:
                from phasejax.cli._plan_figure import draw_plan

                draw_plan(found, place(self.figure), self.figure.suffix[1:].lower())
        say_written(self.json, self.figure)
        print(printable(found.summary()))
        return 0

    def _planned(self) -> Any:
        asked: dict[str, Any] = {"probability": self.probability, "error": self.error}
        given = [f"--{name.replace('_', '-')}" for name in ("kappa", "nu", "k", "dim_x", "dim_y", "gamma", *_MODEL)
                 if getattr(self, name) is not None]
        if self.pilot is not None:
            if given:
                raise ValueError(f"--pilot: expected no parameters of a model beside it, got {', '.join(given)}")

            from phasejax.diagnosis import plan_from_pilot
            from phasejax.diagnosis._pilot_plan import load_pilot

            with self.shown.bars("plan") as progress:
                return plan_from_pilot(load_pilot(self.pilot), label_r2=self.label_r2, draws=self.draws,
                                       progress=progress, **asked)

        missing = [name for name in ("--kappa", "--nu", "--dim-x") if name not in given]
        if missing:
            raise ValueError(f"{missing[0]}: expected {', '.join(missing)} of a model, or --pilot, got none")

        from phasejax.theory import plan

        return plan(self._model(), label_r2=1.0 if self.label_r2 is None else self.label_r2, **asked)

    def _model(self) -> Any:
        from phasejax._core.validation import check_count
        from phasejax.theory import SpikedModel

        kappa, nu = self.kappa or [], self.nu or []
        k = len(kappa) if self.k is None else check_count("--k", self.k)
        if len(kappa) not in (1, k):
            raise ValueError(f"--kappa: expected one number or {k}, as --k says, got {len(kappa)}")
        if self.gamma is not None and (self.gamma_x is not None or self.gamma_y is not None):
            raise ValueError("--gamma: expected either it or --gamma-x and --gamma-y, got both")
        variances = {name: getattr(self, name) for name in _MODEL if getattr(self, name) is not None}
        if self.gamma is not None:
            variances.update(gamma_x=self.gamma, gamma_y=self.gamma)
        dims = {name: check_count(f"--{name.replace('_', '-')}", value)
                for name, value in (("dim_x", self.dim_x), ("dim_y", self.dim_y)) if value is not None}
        return SpikedModel.create(kappa * k if len(kappa) == 1 else kappa, nu[0] if len(nu) == 1 else nu,
                                  d=dims["dim_x"], d_y=dims.get("dim_y"), **variances)
