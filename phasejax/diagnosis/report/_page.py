"""A diagnosis as one HTML page: the template filled with values and drawings, written in one piece."""

import functools
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.style
from markupsafe import Markup

from phasejax._core.atomic_files import written_whole
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._predicted_scores import LEVEL
from phasejax.diagnosis.report._figures import (
    FIGURE_STYLE,
    NUISANCE_COLOUR,
    SIGNAL_COLOUR,
    Drawing,
    draw,
    plot_one_spectrum,
    plot_plane,
    plot_probabilities,
    plot_ratios,
    plot_scores,
)
from phasejax.diagnosis.report._format import FILTERS, REPRESENTATION_NAMES, SYMBOLS
from phasejax.diagnosis.report._values import PhaseDiagram, drawable_ratios, page_values, phase_diagram

# Spectra in the order of the page: field of the diagnosis, what is trained, what the values are.
_SPECTRA = (("ca", "Alignment", "canonical correlation"), ("cp", "Predicting y from x", "singular value, y units"),
            ("cp_reverse", "Predicting x from y", "singular value, x units"))


def write_report(diagnosis: MomentDiagnosis, path: str | Path, *, sources: dict[str, str] | None = None) -> None:
    """Write a diagnosis as one self-contained HTML file.

    It holds the recommendation, the place in the phase diagram, the draws in the plane of the two
    separation ratios, regime probabilities, spectra, predicted scores, what change would lead
    elsewhere, all estimates, and what they rest on. It loads nothing and runs no script.

    Args:
        diagnosis: what to show.
        path: the file, which is replaced only when the new one is complete.
        sources: where the data came from, by name, such as {"x": "images.npy"}; shown as given.

    Raises:
        OSError: the file cannot be written; one line that names it.
    """
    path, page = Path(path), _page(diagnosis, sources or {})
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise type(error)(f"{path}: expected a file that can be written, got {error.strerror or error}") from None


def _page(diagnosis: MomentDiagnosis, sources: dict[str, str]) -> str:
    """The page as text."""
    diagram = phase_diagram(diagnosis)
    # A reader's own defaults (TeX, fonts, sizes) would not be those that the figures are laid out for.
    with matplotlib.style.context(["default", FIGURE_STYLE]):
        drawings = _drawings(diagnosis, diagram)
    return _template().render(
        page_values(diagnosis, diagram, sources), drawings=drawings, style=Markup(_read("report.css")),
        score_level=LEVEL, signal_colour=SIGNAL_COLOUR, nuisance_colour=NUISANCE_COLOUR, symbols=SYMBOLS,
        representation_names=REPRESENTATION_NAMES)


def _drawings(diagnosis: MomentDiagnosis, diagram: PhaseDiagram | None) -> dict[str, Any]:
    """The drawings of a page by name; None in the place of those that cannot be made."""
    inside, scores = drawable_ratios(diagnosis), diagnosis.predicted_scores
    return {
        "plane": draw(plot_plane(diagnosis, diagram.kappa, diagram.ca, diagram.cp), "plane") if diagram else None,
        "ratios": draw(plot_ratios(diagnosis, inside), "ratios") if inside.any() else None,
        "probabilities": draw(plot_probabilities(diagnosis), "probabilities"),
        "spectra": [_spectrum(diagnosis, *spectrum) for spectrum in _SPECTRA],
        "scores": draw(plot_scores(scores), "scores") if scores else None}


def _spectrum(diagnosis: MomentDiagnosis, field: str, title: str, ylabel: str) -> dict[str, Any]:
    """One spectrum's drawing (None where it holds numbers that are not finite) with what its caption says."""
    spectrum = getattr(diagnosis, field)
    figure = plot_one_spectrum(spectrum, ylabel)
    drawing: Drawing | None = draw(figure, field.replace("_", "-")) if figure else None
    return {"title": title, "drawing": drawing, "size": len(spectrum.values), "recovered": spectrum.recovered,
            "signal": int(spectrum.is_signal.sum())}


@functools.cache
def _template() -> jinja2.Template:
    """The template; everything that it is given is escaped but for drawings and the style sheet."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(FILTERS)
    return environment.from_string(_read("report.html.jinja"))


def _read(name: str) -> str:
    """Text of a file that lies beside this module, also where the package is in an archive."""
    return resources.files("phasejax.diagnosis.report").joinpath(name).read_text("utf-8")
