"""A diagnosis as a figure: scores and label content, or what each component is worth to an objective and the labels."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from phasejax._core.axes import axes_or_new
from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.validation import check_choice
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._representations import RAW
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._score_plots import plot_content, plot_fair_scores, plot_scores_over_k
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.diagnosis._view_words import view_words
from phasejax.plotting import OBJECTIVE_COLOURS, new_figure, paper_style

_LETTERS_AN_INCH = 16  # in the title


@checked
def plot_spectrum(ax: Axes, spectrum: ClassifiedSpectrum, ylabel: str) -> Axes:
    """Draw singular values as bars, R^2 of the labels as a line on a second axis, signal components shaded.

    A dotted line marks the largest nuisance value: an objective recovers the signal components above it.

    Args:
        ax: the axes to draw on.
        spectrum: singular values with the judgement which of them are signal.
        ylabel: what the values are, such as "canonical correlation".

    Returns:
        The second axis, that of R^2.
    """
    position = np.arange(1, len(spectrum.values) + 1)
    for i in position[spectrum.is_signal]:
        ax.axvspan(i - 0.5, i + 0.5, color=OBJECTIVE_COLOURS["joint"], alpha=0.18, linewidth=0, zorder=0)
    colours = np.where(spectrum.is_signal, OBJECTIVE_COLOURS["joint"], "0.65")
    ax.bar(position, spectrum.values, width=0.7, color=colours, zorder=1)
    if spectrum.is_signal.any() and not spectrum.is_signal.all():
        ax.axhline(spectrum.largest_nuisance, color="0.25", linestyle=":", linewidth=1.2)
    ax.set(xlim=(0.4, len(position) + 0.6), xlabel="component", ylabel=ylabel)
    # The default locator of matplotlib, held to whole numbers.
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    twin = ax.twinx()
    twin.plot(position, spectrum.r2, color="black", marker="o", markersize=3.5, linewidth=1.2)
    twin.set_ylabel(r"$R^2$ of the labels (sum)")
    twin.set_ylim(-0.02 * max(spectrum.r2.max(), 0.05), 1.12 * max(spectrum.r2.max(), 0.05))
    return twin


@checked
def plot_diagnosis(diagnosis: Diagnosis | MomentDiagnosis | SpectralDiagnosis, figure: Figure | None = None
                   ) -> Figure:
    """Draw what a diagnosis rests on.

    Of the default diagnosis these are the scores of what can be trained or kept, with intervals, and the label content
    against the number of components. Where the views share nothing that the labels measure, only scores of the views'
    columns are drawn. Of the other methods these are the classified spectra of alignment and of prediction in both
    directions.

    Args:
        diagnosis: the result of `diagnose`, by any method.
        figure: where to draw; by default a new figure of the width of a page, with text as journals print it. Save it
            inside `phasejax.plotting.paper_style` for TrueType fonts in a PDF file.

    Returns:
        The figure, with the answer above its panels.

    Source: K26, Fig. 12 (spectra).
    """
    if figure is None:
        with paper_style():
            return plot_diagnosis(diagnosis, new_figure(height=4.2 if isinstance(diagnosis, Diagnosis) else 2.9))
    return _plot_decision(diagnosis, figure) if isinstance(diagnosis, Diagnosis) else _plot_spectra(diagnosis, figure)


def draw_decision(diagnosis: Diagnosis, ax: Axes | None, what: str) -> Axes:
    """Draw the scores of a diagnosis, or its label content (`Diagnosis.plot`)."""
    check_choice("what", what, ("scores", "content"))
    if what == "content":
        ax = axes_or_new(ax, height=3.4)
        plot_content(ax, diagnosis.content, diagnosis.directions if diagnosis.k is None else diagnosis.k)
        return ax
    if not diagnosis.scores:
        raise ValueError("what: expected 'content' of a diagnosis without scores, got 'scores'")
    diagnosis.scores[-1].draws.of  # noqa: B018 (an error in one line before anything is drawn)
    ax = axes_or_new(ax, height=3.8 if diagnosis.seen else 1.6, width=6.5)
    plot_fair_scores(ax, diagnosis.scores[-1], view_words(diagnosis).labels, () if diagnosis.seen else RAW)
    return ax


def draw_spectrum(diagnosis: SpectralDiagnosis | MomentDiagnosis, ax: Axes | None, spectrum: str) -> Axes:
    """Draw one classified spectrum of a diagnosis with its separation ratio (`SpectralDiagnosis.plot`)."""
    check_choice("spectrum", spectrum, ("ca", "cp", "cp_reverse"))
    title, found, ylabel, symbol, delta = _panels(diagnosis)[("ca", "cp", "cp_reverse").index(spectrum)]
    ax = axes_or_new(ax)
    plot_spectrum(ax, found, ylabel)
    ax.set_title(f"{title}: ${symbol} = {_number(delta)}$")
    return ax


def _panels(diagnosis: SpectralDiagnosis | MomentDiagnosis) -> tuple[tuple, ...]:
    """Of each spectrum its title, the spectrum, what its values are, and its ratio with a symbol."""
    return (
        ("Alignment", diagnosis.ca, "canonical correlation", r"\Delta_{\mathrm{CA}}", diagnosis.delta_ca),
        ("Prediction of y", diagnosis.cp, "singular value of A", r"\Delta_{\mathrm{CP}}", diagnosis.delta_cp),
        ("Prediction of x", diagnosis.cp_reverse, "singular value of A", r"\Delta_{\mathrm{CP}\ y\to x}",
         diagnosis.delta_cp_reverse))


def _plot_decision(diagnosis: Diagnosis, figure: Figure) -> Figure:
    """Scores on the left, label content on the right, as far as there are any."""
    title = diagnosis.verdict.replace("->", "→").replace("R2", "R²")
    figure.suptitle("\n".join(textwrap.wrap(title, round(_LETTERS_AN_INCH * figure.get_figwidth()))), fontsize="medium")
    scores, seen, labels = diagnosis.scores, diagnosis.seen, view_words(diagnosis).labels
    left = right = figure
    if scores and seen:
        places = figure.add_gridspec(1, 2, width_ratios=(3, 2))
        left, right = figure.add_subfigure(places[0]), figure.add_subfigure(places[1])
    if seen:
        k = diagnosis.directions if diagnosis.k is None else diagnosis.k
        plot_content(right.subplots(), diagnosis.content, k)
    if scores and not seen:
        plot_fair_scores(left.subplots(), scores[-1], labels, RAW)
    elif len(scores) == 1:
        plot_fair_scores(left.subplots(), scores[0], labels)
    elif scores:
        for ax, situation in zip(left.subplots(len(SITUATIONS), 1, sharex=True), SITUATIONS, strict=True):
            plot_scores_over_k(ax, scores, situation, labels)
            ax.label_outer()
    return figure


def _plot_spectra(diagnosis: SpectralDiagnosis | MomentDiagnosis, figure: Figure) -> Figure:
    """The three classified spectra with separation ratios above the panels and the regime above all."""
    for ax, (title, spectrum, ylabel, symbol, delta) in zip(figure.subplots(1, 3), _panels(diagnosis), strict=True):
        twin = plot_spectrum(ax, spectrum, ylabel)
        if ax is not figure.axes[2]:
            twin.set_ylabel("")
        ax.set_title(f"{title}: ${symbol} = {_number(delta)}$")
    figure.suptitle(f"Regime: {diagnosis.verdict}   (n = {diagnosis.n}, "
                    f"$d_x$ = {diagnosis.d_x}, $d_y$ = {diagnosis.d_y})")
    figure.legend(handles=[
        Patch(facecolor=OBJECTIVE_COLOURS["joint"], alpha=0.6, label="signal: predicts the labels"),
        Patch(facecolor="0.65", label="nuisance"),
        Line2D([], [], color="0.25", linestyle=":", label="largest nuisance value"),
        Line2D([], [], color="black", marker="o", markersize=3.5, label=r"$R^2$ of the labels")],
        loc="outside lower center", ncols=4, frameon=False)
    return figure


def _number(value: float) -> str:
    """A ratio in the notation of matplotlib's formulas."""
    return r"\infty" if np.isinf(value) else significant(value)
