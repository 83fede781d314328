"""The answer of `diagnose`: is anything shared, what is recovered at this n, what to train, and how sure that is."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant, with_interval
from phasejax._core.overview import Overview, Shown
from phasejax._core.records import check_schema
from phasejax._core.serialise import from_text, lines_of_lists, restored
from phasejax._version import __version__
from phasejax.diagnosis._confounders import RemovedConfounders
from phasejax.diagnosis._content import ContentCurve
from phasejax.diagnosis._decision import Choice
from phasejax.diagnosis._document import document, table
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._label_rows import labels_in_words
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._overviews import overview_of_content
from phasejax.diagnosis._representations import MEASURED
from phasejax.diagnosis._shared_signal import SharedSignal
from phasejax.diagnosis._spectra_summary import SpectraSummary
from phasejax.diagnosis._uses import OBJECTIVES, Use, uses_of
from phasejax.diagnosis._view_words import view_words
from phasejax.theory import Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis(Shown):
    """What to train on a paired data set, which regime it is in at this number of rows, and how sure that is.

    Saved (`to_json`) and read back (`from_json`, `load_baseline`) it is the baseline that later data are
    compared with. Saved with its draws it also gives its answers again: uses, choices, the report.

    Args:
        method: "content".
        n, labelled: paired rows, and how many of them have labels.
        groups: number of groups of dependent rows; None where every row stands for itself.
        d_x, d_y: columns of x and of y, after any reduction.
        label_columns: linearly independent label columns.
        kind: of the labels, "class" or "real".
        k: width of each encoder's output, as given; None where it was left open.
        directions: label directions that a view predicts beyond chance, at least 1.
        confidence: probability from which a regime is stated, and level of the content's intervals.
        shared: whether the views share anything, and whether that concerns the labels.
        content: label content against k.
        scores: cross-validated scores of all representations, one record for each k; one only where k is given.
        fit: the spiked model that matches the moments; None where it was not asked for or could not be made.
        spectra: the views' spectra in a few numbers, for comparison with later data.
        confounders: what was removed as known nuisance, and how much it explained; None where nothing was.
        warnings: what limits the answer, one sentence each.
        phasejax_version: of the package that made the diagnosis.
        computed_on: versions, device, cores and flags, on which the last digits depend; None where not recorded.
    """

    method: str
    n: int
    labelled: int
    groups: int | None
    d_x: int
    d_y: int
    label_columns: int
    kind: str
    k: int | None
    directions: int
    confidence: float
    shared: SharedSignal
    content: ContentCurve
    scores: tuple[FairScores, ...]
    fit: MomentDiagnosis | None = None
    spectra: SpectraSummary | None = None
    confounders: RemovedConfounders | None = None
    warnings: tuple[str, ...] = ()
    phasejax_version: str = __version__
    computed_on: dict[str, str] | None = None

    @classmethod
    @checked
    def from_dict(cls, saved: dict[str, Any]) -> "Diagnosis":
        """The diagnosis that `to_dict` wrote; derived answers are computed again.

        Raises:
            ValueError: what is no diagnosis by this method, or not all of one, in one line.
        """
        if not isinstance(saved, dict) or not isinstance(saved.get("phasejax_version"), str) or "method" not in saved:
            raise ValueError("expected a diagnosis written by phasejax, got another object")
        if "schema" in saved:  # which the first versions did not write
            check_schema(saved, "phasejax.diagnosis", 1)
        if saved["method"] != "content":
            raise ValueError(f"expected a diagnosis of method content, got {saved['method']!s:.40}")
        return restored(cls, saved)

    @classmethod
    @checked
    def from_json(cls, text: str) -> "Diagnosis":
        """The diagnosis that `to_json` wrote.

        Raises:
            ValueError: text that is no JSON, or what `from_dict` refuses, in one line.
        """
        return cls.from_dict(from_text(text))

    @property
    def seen(self) -> bool:
        """Whether the views share something that concerns the labels; without it nothing is stated."""
        return self.shared.seen

    @property
    def regime(self) -> Regime | None:
        """The regime at this number of rows, or None (undecided).

        It is that of the k components that were asked for, or of as many as the labels have directions.
        """
        return self.content.regime(self._width) if self.seen else None

    @property
    def unlimited_regime(self) -> Regime | None:
        """The regime with unlimited rows, by the theory; None where it is open or no spiked model fits the data."""
        fit = self.fit
        return fit.regime if self.seen and fit is not None and not fit.fits_badly else None

    @property
    def _width(self) -> int:
        return self.directions if self.k is None else self.k

    @checked
    def best(self, among: Sequence[str] = OBJECTIVES, *, k: int | None = None) -> Choice:
        """The best of the choices that a user has, with what is known about that.

        Args:
            among: names of representations: the objectives "CA", "CP x->y", "CP y->x", "CP both" and "joint", one
                view's encoder "CA of x" and "CA of y", the modalities "x", "y" and "x and y", or k principal
                components of one, "x at k" and "y at k".
            k: width of each encoder's output, one of those that were scored; that of the diagnosis when left out. Where
                the diagnosis has none either, a choice is only decided if it is best at every k.

        Returns:
            The choice; never decided between objectives where the views do not share what the labels measure.

        Raises:
            ValueError: an unknown name, a k that was not scored, no scores.
        """
        if not self.scores:
            raise ValueError("best: expected a diagnosis with predicted scores, got one without")
        known = {scores.k: scores for scores in self.scores}
        if k is not None and k not in known:
            raise ValueError(f"k: expected one of {', '.join(map(str, known))}, got {k}")
        if k is None and len(known) > 1:
            choice = _unanimous([scores.best(among) for scores in self.scores])
        else:
            choice = (known[k] if k is not None else self.scores[0]).best(among)
        if not self.seen and not set(choice.among) <= set(MEASURED):
            return replace(choice, decided=False, sure=False, needed=self._shared_words())
        return choice

    @property
    def uses(self) -> tuple[Use, ...]:
        """What to do with both views at hand, with one of them, and which objective to train.

        Each says what to use with all its columns and as an embedding. Empty where nothing shared concerns the labels.
        """
        return uses_of(self) if self.seen else ()

    @property
    def verdict(self) -> str:
        """The answer in one line, by use."""
        if not self.seen:
            return self._shared_words()
        return self.uses[0].text if self.scores else self._regime_words()

    def summary(self) -> str:
        """The diagnosis as lines of text: first what to do, then why."""
        lines = []
        if not self.seen:
            lines.append(f"{'Verdict':<20} {self._shared_words()}")
        lines += [f"{use.situation:<20} {use.text}" for use in self.uses]
        if self.seen:
            lines.append(f"{'Shared signal':<20} {self._shared_words()}")
        elif self.scores:
            lines.append(f"{'Labels predicted':<20} {self._single_words()}")
        lines.append(f"{'Regime at n = ' + str(self.n):<20} {self._regime_words()}")
        lines += self._lines_by_label_column()
        if self.fit is not None and self.seen:
            lines.append(f"{'With unlimited rows':<20} {self._unlimited_words()}")
        if self.confounders is not None:
            lines.append(f"{'Confounders':<20} {self.confounders.words()}")
        groups = "" if self.groups is None else f" in {self.groups} groups"
        several = "s" * (self.directions > 1)
        k = f"k = {self.k}" if self.k is not None else f"k open, {self.directions} label direction{several}"
        lines.append(f"{'Data':<20} n = {self.n}{groups}, labelled = {self.labelled}, d_x = {self.d_x}, "
                     f"d_y = {self.d_y}, {labels_in_words(self.kind, self.label_columns)}, {k}")
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])

    def _regime_words(self) -> str:
        if not self.seen:
            return "none: nothing shared that the labels measure is seen"
        return _regime_words(self.content, self._width)

    def _shared_words(self) -> str:
        words = self.shared.reason()
        return words if self.confounders is None else words.replace(
            "check the pairing", "what they have in common may be the confounders' alone")

    def _lines_by_label_column(self) -> list[str]:
        columns = self.scores[-1].per_column if self.scores else ()
        names = ("x", "y", "x and y", "CA", "CP both")
        return [f"{f'Label column {number}':<20} {self.scores[-1].metric} from "
                + ", ".join(f"{name} {significant(column.score(name).value, 2)}" for name in names)
                for number, column in enumerate(columns) if len(columns) > 1]

    def _single_words(self) -> str:
        scores = self.scores[-1]
        views = view_words(self).views
        called = {"x": f"{views['x']} alone", "y": f"{views['y']} alone", "x and y": "both side by side"}
        found = ", ".join(f"by {words} {with_interval(s.value, s.low, s.high)}"
                          for words, s in ((words, scores.score(name)) for name, words in called.items()))
        beyond = [name for name in ("x", "y") if scores.clearly_above_chance(name)]
        told = "each of the views predicts them" if beyond else "neither predicts them clearly"
        if len(beyond) == 1:
            other = "y" if beyond == ["x"] else "x"
            told = f"only {beyond[0]} predicts them, as where the rows of {other} are in another order"
        return f"{scores.metric} {found}; chance is {significant(scores.chance, 2)}: {told}"

    def _unlimited_words(self) -> str:
        fit = cast(MomentDiagnosis, self.fit)
        if fit.fits_badly:
            return (f"not stated: no spiked model of {fit.k} signal{'s' * (fit.k > 1)} describes these data (reduced "
                    f"chi-squared {significant(fit.reduced_chi2)})")
        ratios = ", ".join(f"{label} {with_interval(e.value, e.low, e.high)}" for label, e in
                           (("Delta_CA", fit.estimates["delta_ca"]), ("Delta_CP", fit.estimates["delta_cp"])))
        return f"{fit.verdict}; {ratios}"

    def _overview(self) -> Overview:
        return overview_of_content(self)

    def plot(self, ax: "Axes | None" = None, *, what: str = "scores") -> "Axes":
        """Draw the scores of what can be trained or kept, or the label content; `plot_diagnosis` draws both.

        Args:
            ax: where to draw; new axes by default.
            what: "scores", at the widest k where there are several, or "content" against the number of components.

        Returns:
            The axes.

        Raises:
            ValueError: there are no scores, or they were saved without their draws.
        """
        from phasejax.diagnosis._plots import draw_decision

        return draw_decision(self, ax, what)

    def to_frame(self) -> pd.DataFrame:
        """Label content, scores and parameters of the fit as a table: quantity, k, source, value, low and high.

        Scores of one source alone have no interval here.
        """
        def rows() -> Iterator[tuple[str, int | None, str, Any]]:
            for k in self.content.ks:
                for name, estimate in zip(("s_CA", "s_CP", "s_CP y->x"), self.content.at(k).values(), strict=True):
                    yield name, k, "cross-fit", estimate
            for scores in self.scores:
                for score in scores.scores:
                    yield f"{scores.metric} of {score.name}", scores.k, "combined", score
                    for source, values in scores.values.items():
                        if score.name in values:
                            yield f"{scores.metric} of {score.name}", scores.k, source, values[score.name]
            if self.fit is not None:
                for name, estimate in self.fit.estimates.items():
                    yield name, self.fit.k, "spiked model", estimate
        return table(rows())

    @checked
    def to_dict(self, *, draws: bool = False) -> dict:
        """All fields and derived answers as plain Python objects; infinity and NaN become strings.

        Args:
            draws: whether with the draws of scores and of the fit. A diagnosis read back without them can be compared
                with later data; uses, choices and intervals of scores need them.
        """
        regime, unlimited = self.regime, self.unlimited_regime
        parts = {name: value for name, value in asdict(replace(self, fit=None, scores=())).items()
                 if name not in ("fit", "scores", "phasejax_version")}
        return document(self.phasejax_version, {
            "verdict": self.verdict, "seen": self.seen, "regime": regime.value if regime else None,
            "unlimited_regime": unlimited.value if unlimited else None, "uses": [asdict(use) for use in self.uses],
            **parts, "scores": [scores.to_dict(draws=draws) for scores in self.scores],
            "fit": None if self.fit is None else self.fit.to_dict(draws=draws)})

    @checked
    def to_json(self, *, draws: bool = False) -> str:
        """`to_dict` as JSON text."""
        return lines_of_lists(json.dumps(self.to_dict(draws=draws), indent=2, allow_nan=False)) + "\n"


def _unanimous(choices: Sequence[Choice]) -> Choice:
    """One choice for every width: the one of least expected loss over all, decided only if it is the best at each."""
    losses = {name: sum(choice.expected_loss[name] for choice in choices) / len(choices) for name in choices[0].among}
    name = min(losses, key=lambda one: losses[one])
    agreed = all(choice.name == name for choice in choices)
    if not agreed:
        return replace(choices[-1], name=name, expected_loss=losses, decided=False, sure=False, probability=0.0,
                       equal=(), needed="the width of your embedding (k): which is best changes with it")
    # The width at which least is known.
    least = min(choices, key=lambda choice: (choice.decided, choice.sure, choice.probability))
    return replace(least, expected_loss=losses)


def _regime_words(content: ContentCurve, k: int) -> str:
    """The regime with k components in words, with the content that it rests on."""
    shares = ", ".join(f"s_{label} = {with_interval(e.value, e.low, e.high)}" for label, e in
                       zip(("CA", "CP", "CP y->x"), content.at(k).values(), strict=True))
    regime, place = content.regime(k), content.ks.index(k)
    reason = content.reason(k).rstrip(".")
    stated = (f"undecided ({reason[:1].lower()}{reason[1:]})" if regime is None else
              f"{regime.value} (probability {significant(max(content.probabilities[place]), 2)})")
    return f"{stated} with {k} component{'s' * (k > 1)}: {shares}"
