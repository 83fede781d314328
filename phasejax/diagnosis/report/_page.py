"""A diagnosis as one HTML page: no script, no network, figures inside, fit for screen and paper."""

import html
import io
import platform
import re
from datetime import datetime
from pathlib import Path

import jax
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from phasejax._core.atomic_files import written_whole
from phasejax._version import __version__
from phasejax.diagnosis._estimates import PARAMETERS, RATIOS
from phasejax.diagnosis._plots import plot_spectrum
from phasejax.diagnosis._predicted_scores import LEVEL
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis.report._figures import plot_plane, plot_probabilities, plot_ratios, plot_scores
from phasejax.diagnosis.report._style import (
    CSS,
    FIGURE_STYLE,
    GAMMA,
    NAMES,
    NU,
    TIMES,
    fixed,
    interval,
    metric,
    number,
    percent,
    readable,
    signed,
)
from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS
from phasejax.theory import Regime, ca_boundary, cp_boundary, regime

_MEANING = {
    Regime.NEITHER: "neither alignment nor predicting y from x puts the labelled signal above the nuisance",
    Regime.CA_ONLY: "alignment recovers the labelled signal, predicting y from x follows nuisance",
    Regime.CP_ONLY: "predicting y from x recovers the labelled signal, alignment follows nuisance",
    Regime.BOTH: "alignment and predicting y from x both recover the labelled signal"}
_RATIO_NAMES = {
    "delta_ca": ("Δ<sub>CA</sub>", "separation ratio of alignment, which recovers the labelled signal above 1"),
    "delta_cp": ("Δ<sub>CP</sub>", "separation ratio of predicting y from x, likewise"),
    "delta_cp_reverse": ("Δ<sub>CP</sub> reversed", "separation ratio of predicting x from y, likewise")}
_GRID = 241


def write_report(diagnosis: Diagnosis, path: str | Path, *, sources: dict[str, str] | None = None) -> None:
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


def _page(diagnosis, sources):
    # A reader's own defaults (TeX, fonts, sizes) would not be those that the figures are laid out for.
    with matplotlib.style.context(["default", FIGURE_STYLE]):
        body = "".join([_regimes(diagnosis), _spectra(diagnosis), _outcome(diagnosis), _sensitivity(diagnosis),
                        _estimates(diagnosis), _data(diagnosis, sources)])
    title = f"phasejax report: {diagnosis.recommendation.partition(':')[0]}"
    versions = f"phasejax {__version__}, jax {jax.__version__}, numpy {np.__version__}, Python " \
               f"{platform.python_version()}"
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{_text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{_top(diagnosis)}"
            f"<main>\n{body}</main>\n<footer>Written on {datetime.now().astimezone():%d %B %Y, %H:%M %Z} by "
            f"{_text(versions)}.</footer>\n</body>\n</html>\n")


def _top(diagnosis):
    action, _, why = diagnosis.recommendation.partition(":")
    # The regime has a line of its own below.
    why = why.strip().replace(f" (regime {diagnosis.verdict})", "").replace(f"; regime {diagnosis.verdict})", ")")
    if diagnosis.regime is None:
        meaning = (f"Undecided means that no regime reaches a probability of {diagnosis.confidence:.0%}: the data fit "
                   f"more than one. The likeliest, {diagnosis.likeliest.value}, would say: "
                   f"{_MEANING[diagnosis.likeliest]}.")
        chip = ""
    else:
        meaning = f"{diagnosis.regime.value} means: {_MEANING[diagnosis.regime]}."
        chip = _chip(REGIME_COLOURS[diagnosis.regime])
    warnings = "".join(f"<li>{_text(warning)}</li>" for warning in diagnosis.warnings)
    warned = (f'<section class="warnings" aria-label="Warnings"><h2>What limits this answer</h2><ul>{warnings}</ul>'
              "</section>\n") if warnings else ""
    return ('<header><div>\n<p class="kind">Align or predict? A phasejax diagnosis</p>\n'
            f'<h1>{_text(action.rstrip("."))}</h1>\n'
            f"<p>{_text(readable(why[:1].upper() + why[1:]))}</p>\n"
            f'<p class="verdict">{chip}<strong>Regime: {_text(diagnosis.verdict)}</strong></p>\n'
            f"<p>{_text(meaning)} Predicting x from y recovers it with probability "
            f"{percent(diagnosis.reverse_probability)}.</p>\n{warned}</div></header>\n")


def _regimes(diagnosis):
    key = "".join(f"<li>{_chip(colour)}{member.value}</li>" for member, colour in REGIME_COLOURS.items())
    ranked = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
    said = ", ".join(f"{name} {percent(p)}" for name, p in ranked)
    bars = _figure(plot_probabilities(diagnosis), "probabilities", f"Probabilities of the regimes: {said}.",
                   "Share of posterior draws in each regime. From the dashed line, "
                   f"{diagnosis.confidence:.0%}, a regime is stated; below it the answer is undecided.")
    meanings = "".join(f"<li>{_chip(colour)}<strong>{member.value}</strong>: {_MEANING[member]}.</li>"
                       for member, colour in REGIME_COLOURS.items())
    return (_section("Where these data lie", f'<ul class="key" aria-label="Colours of the regimes">{key}</ul>\n'
                     f'<div class="figures">{_phase_diagram(diagnosis)}{_ratio_plane(diagnosis)}</div>')
            + _section("How sure that is", f'<div class="beside">{bars}<ul class="regimes">{meanings}</ul></div>'))


def _phase_diagram(diagnosis):
    if not _has_model(diagnosis):
        return _missing("The phase diagram", "an estimate is not a finite number")
    kappa, ca, cp, weakest = _boundaries(diagnosis)
    e, model = diagnosis.estimates, diagnosis.model
    noise = ", ".join(f"{_symbol(name)} = {number(getattr(model, name)[0])}" for name in ("gamma_x", "gamma_y"))
    others = f"{noise}, nuisance variance of y {number(model.nuisance_y[0])}, in units in which both views carry " \
            "the signal alike"
    weak = "" if weakest > 0.995 else (f" κ is the strongest signal's; the weakest of the {diagnosis.k}, which "
                                       f"decides, has {number(weakest)} of it.")
    return _figure(
        plot_plane(diagnosis, kappa, ca, cp), "plane",
        "Phase diagram over signal strength and nuisance correlation. The data lie at kappa "
        f"{interval(e['kappa'])} and nu {interval(e['nu'])}.",
        f"The regimes over κ and {NU}, the other parameters fixed at their estimates ({others}).{weak} "
        f"The estimates lie in {_regime_at_estimates(diagnosis).value}.")


def _has_model(diagnosis):
    """Whether `CalibratedDiagnosis.model` exists: finite parameters, and a signal in both views."""
    positive = ("kappa", "signal_x", "signal_y")
    values = [diagnosis.estimates[name].value for name in (*PARAMETERS, *positive)]
    return bool(np.isfinite(values).all()) and all(diagnosis.estimates[name].value > 0 for name in positive)


def _regime_at_estimates(diagnosis):
    """Regime of the model whose parameters are the medians, which need not be the likeliest regime."""
    with jax.enable_x64(True):
        return regime(diagnosis.model)


def _boundaries(diagnosis):
    """kappa of the strongest signal, and nu on both boundaries of the model at the estimates, shape (241,)."""
    model = diagnosis.model
    weakest = float(model.kappa[-1] / model.kappa[0])
    draws = diagnosis.draws["kappa"]
    seen = np.append(draws[np.isfinite(draws) & (draws > 0)], diagnosis.kappa)
    kappa = np.geomspace(max(seen.min() / 3, diagnosis.kappa / 300), min(3 * seen.max(), 300 * diagnosis.kappa), _GRID)
    with jax.enable_x64(True):
        ca = np.asarray(ca_boundary(weakest * kappa, model.gamma_x[0], model.gamma_y[0]))
        cp = np.asarray(cp_boundary(weakest * kappa, model.gamma_x[0], model.nuisance_y[0]))
    return kappa, ca, cp, weakest


def _ratio_plane(diagnosis):
    inside = np.all([np.isfinite(diagnosis.draws[name]) & (diagnosis.draws[name] > 0) for name in RATIOS[:2]], axis=0)
    if not inside.any():
        return _missing("The plane of the separation ratios", "no draw has two finite ratios")
    e, lost = diagnosis.estimates, int(np.sum(~inside))
    beyond = f" {lost} of {len(inside)} draws, with a ratio of 0 or ∞, cannot be shown." if lost else ""
    return _figure(
        plot_ratios(diagnosis, inside), "ratios",
        "Posterior draws in the plane of the separation ratios. Delta CA "
        f"{interval(e['delta_ca'])}, Delta CP {interval(e['delta_cp'])}.",
        "The same draws by their two separation ratios: an objective recovers the labelled signal where its ratio is "
        "above 1, so the quadrants are the regimes exactly. A draw's regime depends on all its parameters: over κ and "
        f"{NU} its colour can differ from it. Outline: the densest {diagnosis.confidence:.0%} of the draws.{beyond}")


def _spectra(diagnosis):
    panels = (("ca", "Alignment", "canonical correlation"), ("cp", "Predicting y from x", "singular value, y units"),
              ("cp_reverse", "Predicting x from y", "singular value, x units"))
    key = (f"<li>{_chip(OBJECTIVE_COLOURS['joint'])}the {diagnosis.k} signal component{'s' * (diagnosis.k > 1)}: "
           f"they predict the labels best</li><li>{_chip('#a6a6a6')}nuisance</li>"
           "<li>line: R² of the labels (right)</li><li>dotted: largest nuisance value</li>")
    figures = []
    for field, title, ylabel in panels:
        spectrum = getattr(diagnosis, field)
        if not (np.isfinite(spectrum.values).all() and np.isfinite(spectrum.r2).all()):
            figures.append(_missing(title, "the spectrum holds numbers that are not finite"))
            continue
        figure = Figure(figsize=(3.7, 3.1), layout="constrained")
        ax = figure.subplots()
        plot_spectrum(ax, spectrum, ylabel).set_ylabel("R² of the labels")
        signal = int(spectrum.is_signal.sum())
        figures.append(_figure(
            figure, field.replace("_", "-"), f"{title}: {len(spectrum.values)} sample values, {signal} of them signal.",
            f"<strong>{title}.</strong> {spectrum.recovered} of {signal} signal components stand above all nuisance in "
            "this sample."))
    about = ("<p>Components as the samples show them, largest first. An objective keeps the first components, whatever "
             "they carry. Sampling raises small values, which the estimates above allow for and these bars do not. "
             "R² is cross-validated and summed over label columns.</p>")
    return _section("Spectra", f'{about}<ul class="key">{key}</ul><div class="figures three">{"".join(figures)}</div>')


def _outcome(diagnosis):
    scores = diagnosis.predicted_scores
    if scores is None:
        return _section("Predicted scores", "<p>Not asked for: this diagnosis was made without predicted scores.</p>")
    ranked = scores.ranking()
    said = "; ".join(f"{NAMES[score.name]} {interval(score, fixed)}" for score in ranked)
    shrunk = (f" A correlation matrix was shrunk by {percent(scores.shrinkage)} towards the identity to be inverted."
              if scores.shrinkage > 0 else "")
    drawn = _figure(
        plot_scores(scores), "scores",
        f"Predicted {metric(scores)}: {said}.",
        f"Cross-validated {metric(scores)} of a linear probe on held-out rows, with {LEVEL:.0%} intervals. CA has "
        f"{scores.k} component{'s' * (scores.k > 1)} of each view, CP {scores.k} of the view it predicts from; the "
        f"grey ones are all raw columns.{shrunk}")
    gains = [(NAMES[gain.name], signed(gain.value), f"{signed(gain.low)} to {signed(gain.high)}")
             for gain in sorted(scores.gain_over_single, key=lambda gain: -gain.value)]
    table = _table((f"Beside {scores.best_single} alone", "Gain", f"{LEVEL:.0%} interval"), gains)
    return _section("Predicted scores", f'<div class="beside">{drawn}<div><p>{_text(readable(scores.reason()))}</p>'
                    f"{table}</div></div>")


def _sensitivity(diagnosis):
    if not _has_model(diagnosis):
        return _section("What would change the answer", "<p>Not available: an estimate is not a finite number.</p>")
    rows, nowhere = [], []
    changes = diagnosis.sensitivity()
    for change in changes:
        meaning, value = PARAMETERS[change.parameter].partition(",")[0], diagnosis.estimates[change.parameter].value
        if change.regime is None:
            nowhere.append(_text(meaning))
            continue
        rows.append((f"{_text(meaning)} {_symbol(change.parameter)}", f"{TIMES} {number(change.factor)}",
                     f"{number(value)} → {number(value * change.factor)}",
                     f"{_chip(REGIME_COLOURS[change.regime])}{change.regime.value}"))
    table = _table(("Parameter", "Factor", "Value", "Would lead to"), rows) if rows else ""
    none = f"<p>No factor up to 20 either way leads elsewhere: {', '.join(nowhere)}.</p>" if nowhere else ""
    here = _regime_at_estimates(diagnosis)
    apart = "" if here is diagnosis.likeliest else (
        f" The likeliest regime is another, {diagnosis.likeliest.value}: medians, each taken alone, need not make a "
        "likely model together.")
    return _section("What would change the answer", f"<p>At the estimates the model lies in {here.value}.{apart} "
                    "These are the smallest factors that move it to another regime, one parameter at a time.</p>"
                    + table + none)


def _estimates(diagnosis):
    rows = []
    for name in (*RATIOS, *PARAMETERS):
        e = diagnosis.estimates[name]
        symbol, meaning = _RATIO_NAMES[name] if name in RATIOS else (_symbol(name), PARAMETERS[name])
        rows.append((f"{symbol}<small>{_text(meaning)}</small>", number(e.value),
                     f"{number(e.low)} to {number(e.high)}"))
    return _section("Estimates", _table(("Parameter", "Median", f"{diagnosis.confidence:.0%} interval"), rows))


def _data(diagnosis, sources):
    rows = {"Rows": f"{diagnosis.n:,} pairs, {diagnosis.labelled:,} with labels",
            "Columns": f"{diagnosis.d_x:,} of x, {diagnosis.d_y:,} of y",
            "Labels": f"{diagnosis.label_columns:,} linearly independent column{'s' * (diagnosis.label_columns != 1)}",
            "Signals k": f"{diagnosis.k} ({'counted from the labels' if diagnosis.k_estimated else 'as given'})",
            "Method": f"{diagnosis.method}: the spiked model whose simulated statistics are those of the data",
            "Confidence": f"{diagnosis.confidence:.0%}: level of the intervals, and probability from which a regime is "
                          "stated",
            "Misfit": f"{number(diagnosis.reduced_chi2)}: squared distance of data and best model in standard errors; well "
                      "above 1 where no spiked model describes the data",
            **{f"Source of {name}": source for name, source in sources.items()}}
    listed = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in rows.items())
    return _section("Data and method", f"<dl>{listed}</dl>")


def _section(title, content):
    return f'<section>\n<h2 id="{title.lower().replace(" ", "-")}">{title}</h2>\n{content}\n</section>\n'


def _table(header, rows):
    """A table of HTML cells whose first column names the row; the third of four gives way on narrow screens."""
    wide = ['', '', ' class="wide"' if len(header) == 4 else '', '']
    head = "".join(f'<th scope="col"{kind}>{cell}</th>' for cell, kind in zip(header, wide, strict=False))
    body = "".join(f'<tr><th scope="row">{first}</th>'
                   + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(rest, wide[1:], strict=False)) + "</tr>"
                   for first, *rest in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(figure, name, described, caption):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg"):]
    # What an HTML page does not need, or shares with the other figures: names of namespaces, ids, styles.
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\bid="|(?<=url\()#|(?<=href=")#',
                     lambda found: f'id="{name}-' if found[0].startswith("id") else f"#{name}-", drawing)
    box = re.search(r'viewBox="[^"]*"', drawing)[0]
    drawing = re.sub(r"<svg.*?>", f'<svg role="img" aria-label="{_text(described)}" {box}>', drawing, count=1,
                     flags=re.DOTALL).replace("xlink:href", "href")
    return (f'<figure><div class="plot">{drawing.strip()}</div>\n<figcaption>{caption}</figcaption></figure>\n')


def _missing(what, why):
    return f"<p>{what} cannot be drawn: {why}.</p>"


def _chip(colour):
    return f'<span class="chip" style="background:{colour}"></span>'


def _symbol(name):
    """HTML of a parameter's symbol, or of its name in code where it has none."""
    symbols = {"kappa": "κ", "nu": NU, "gamma_x": f"{GAMMA}<sub>x</sub>", "gamma_y": f"{GAMMA}<sub>y</sub>"}
    return symbols.get(name, f"<code>{_text(name)}</code>")


def _text(value):
    return html.escape(str(value))
