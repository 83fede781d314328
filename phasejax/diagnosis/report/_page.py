"""A diagnosis as one HTML page: the template filled with values and drawings, written in one piece."""

import functools
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jinja2
import matplotlib.style
import numpy as np
from markupsafe import Markup

from phasejax._core.atomic_files import written_whole
from phasejax._core.checked_call import checked
from phasejax._version import __version__
from phasejax.diagnosis._bootstrap import LEVEL
from phasejax.diagnosis._content import KEPT
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._view_words import view_words
from phasejax.diagnosis.report._answer import CERTAINTIES, headline, lines, width
from phasejax.diagnosis.report._evidence import (
    OF_A_COLUMN,
    regime_at_n,
    scores_by_column,
    scores_by_source,
    scores_by_width,
    tests,
)
from phasejax.diagnosis.report._figures import FIGURE_STYLE, draw, draw_content, draw_scores, plot_plane, plot_ratios
from phasejax.diagnosis.report._fit_values import described_fit, drawable_ratios, fit_values, phase_diagram
from phasejax.diagnosis.report._format import FILTERS, SYMBOLS
from phasejax.plotting import REGIME_COLOURS


@checked
def write_report(diagnosis: Diagnosis, path: str | Path, *, sources: dict[str, str] | None = None) -> None:
    """Write a diagnosis as one self-contained HTML file.

    Its first screen says what to use with both views at hand, with one of them, and which objective to train, each
    with its score and how sure that is, beside a picture of all scores. Below: the tests of a shared signal, the label
    content and the regime at this number of rows, scores by source and by label column, the phase diagram where a
    spiked model describes the data, and what all that rests on. Where nothing shared is seen, that is the answer,
    without advice or regime. It loads nothing and runs no script.

    Args:
        diagnosis: what to show.
        path: the file, which is replaced only when the new one is complete.
        sources: where the data came from, by name, such as {"x": "images.npy"}; shown as given.

    Raises:
        OSError: the file cannot be written; one line that names it.
        ValueError: a diagnosis that was saved without its draws.
    """
    if diagnosis.fit is not None and not diagnosis.fit.draws:
        raise ValueError("diagnosis: expected one that was saved with its draws (to_json(draws=True)), got one without")
    path, page = Path(path), _page(diagnosis, sources or {})
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise type(error)(f"{path}: expected a file that can be written, got {error.strerror or error}") from None


def _page(diagnosis: Diagnosis, sources: Mapping[str, str]) -> str:
    """The page as text."""
    answer, scores, seen, fit = lines(diagnosis), diagnosis.scores, diagnosis.seen, described_fit(diagnosis)
    diagram = None if fit is None else phase_diagram(fit)
    words = view_words(diagnosis)
    # A reader's own defaults (TeX, fonts, sizes) would not be those that the figures are laid out for.
    with matplotlib.style.context(["default", FIGURE_STYLE]):
        drawings = _drawings(diagnosis, diagram)
    warnings = dict.fromkeys((*diagnosis.warnings, *diagnosis.content.warnings))
    return _template().render(
        diagnosis=diagnosis, headline=headline(diagnosis, answer), answer=answer, embedding=width(diagnosis),
        certainties=CERTAINTIES, tests=tests(diagnosis), regime=regime_at_n(diagnosis) if seen else None, kept=KEPT,
        groups=scores_by_source(scores[-1], words.labels) if seen and len(scores) == 1 else [],
        widths=scores_by_width(scores, words.labels) if seen and len(scores) > 1 else [],
        columns=scores_by_column(scores[-1]) if seen and scores else [],
        of_a_column=OF_A_COLUMN, whole=words.whole["x and y"],
        raw=[(words.labels[name], scores[-1].score(name)) for name in ("x", "y", "x and y")] if scores else [],
        fit=None if fit is None else fit_values(fit, diagram), warnings=list(warnings), drawings=drawings,
        style=Markup(_read("report.css")), score_level=LEVEL, symbols=SYMBOLS, sources=dict(sources),
        regimes=[{"name": member.value, "colour": colour} for member, colour in REGIME_COLOURS.items()],
        written=f"{datetime.now().astimezone():%d %B %Y, %H:%M %Z}",
        versions=f"phasejax {__version__}, jax {jax.__version__}, numpy {np.__version__}, "
                 f"Python {platform.python_version()}")


def _drawings(diagnosis: Diagnosis, diagram: Any) -> dict[str, Any]:
    """The drawings of a page by name; None in the place of those that cannot be made."""
    fit = described_fit(diagnosis)
    inside = None if fit is None else drawable_ratios(fit)
    figures = {
        "scores": draw_scores(diagnosis),
        "content": draw_content(diagnosis) if diagnosis.seen else None,
        "plane": plot_plane(fit, diagram.kappa, diagram.ca, diagram.cp) if fit is not None and diagram else None,
        "ratios": plot_ratios(fit, inside) if fit is not None and inside is not None and inside.any() else None}
    return {name: None if figure is None else draw(figure, name) for name, figure in figures.items()}


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
