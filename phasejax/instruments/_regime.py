r"""The regime of a pair of instruments: label content and separation ratios from the covariances of its views.

With C = S_xx^{-1/2} S_xy S_yy^{-1/2} and A = S_xx^{-1/2} S_xy let P_x and P_y be the projectors on what the whitened
views x and y tell of L label columns by least squares. In a spiked model whose labels are its signals these are the
signal coordinates, and

.. math::
    \Delta_{CA}(k) = \frac{s_L(P_x C P_y)}{s_{k-L+1}((1 - P_x) C (1 - P_y))}, \qquad
    \Delta_{CP}(k) = \frac{s_L(P_x A)}{s_{k-L+1}((1 - P_x) A)}

are the weakest signal over the strongest nuisance that must not come before it in k directions; with k = L that is K26,
Proposition 3.1. Whatever else the views share counts as nuisance: conditions of the observation, and properties of the
objects that no label asks for. Where labels and nuisance overlap in the views, the ratios describe the spectrum only
roughly; label content, which needs no such division, stands beside them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.linalg import singular_values, whitening
from phasejax._core.overview import Overview
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.records import Record
from phasejax._core.validation import check_count, shown
from phasejax.instruments._instrument import Instrument
from phasejax.instruments._moments import ROWS, InstrumentMoments, checked_settings, compiled, moments_of
from phasejax.theory import LabelContent, Regime, label_content_of_covariances
from phasejax.theory._label_content import KEPT

# Of what both views tell of less than this share of the labels' variance, no regime is made: its content is a ratio of
# two small numbers. Presets have .14 to .84, and CITE-seq without the programs in one view has .003 to .006.
LEAST_SHARED = 0.01


@pytree
class InstrumentRatios:
    """Separation ratios and label content of a pair of instruments at one width k.

    Args:
        delta_ca, delta_cp, delta_cp_reverse: weakest signal over strongest nuisance of CA, CP x->y and CP y->x.
        content: shares of the labels' predictable part in the k leading directions.
        shared: that part as a share of the labels' variance; NaN where the variance is not known.
    """

    delta_ca: Float[HostOrDevice, ""]
    delta_cp: Float[HostOrDevice, ""]
    delta_cp_reverse: Float[HostOrDevice, ""]
    content: LabelContent
    shared: Float[HostOrDevice, ""]


@dataclass(frozen=True)
class InstrumentRegime(Record):
    """Which objectives recover the labels from what a pair of instruments shows, with unlimited objects.

    Args:
        regime: whether CA and CP x->y keep more than 0.8 of what both views tell about the labels.
        k: width of the bottleneck.
        labels: names of the labels.
        content: shares kept by "ca", "cp" and "cp_reverse".
        delta: the separation ratios by the same names.
        shared: share of the labels' variance that both views predict in common; below 0.01 contents are 0.
    """

    regime: Regime
    k: int
    labels: tuple[str, ...]
    content: dict[str, float]
    delta: dict[str, float]
    shared: float

    _kind = "phasejax.instrument_regime"

    def _overview(self) -> Overview:
        words = {"ca": "CA", "cp": "CP x->y", "cp_reverse": "CP y->x"}
        first, *lines = self.summary().splitlines()
        return Overview(kind="Instruments", answer=first.removeprefix("Regime").strip(), note=" ".join(lines[3:]),
                        columns=("objective", "label content", "Delta"),
                        rows=[(word, f"{self.content[name]:.2f}", significant(self.delta[name]))
                              for name, word in words.items()])

    def summary(self) -> str:
        """The regime, contents and ratios as lines of text."""
        words = {"ca": "CA", "cp": "CP x->y", "cp_reverse": "CP y->x"}
        lines = [f"{'Regime':<10}{self.regime.value} (labels {', '.join(self.labels)}; k = {self.k})"]
        lines += [f"{word:<10}content {self.content[name]:.2f}, Delta {significant(self.delta[name])}"
                  for name, word in words.items()]
        if self.shared < LEAST_SHARED:
            lines.append(f"Both views tell only {self.shared:.2g} of the labels' variance in common, which counts as "
                         "nothing to recover.")
            return "\n".join(lines)
        if any((self.content[name] > KEPT) != (self.delta[name] > 1) for name in ("ca", "cp")):
            lines.append("Delta and content lie on different sides of their boundaries: labels and nuisance overlap in "
                         "the views, where the content is what a bottleneck keeps.")
        return "\n".join(lines)


@checked
def instrument_ratios(instrument: Instrument, k: int | None = None, labels: Sequence[str] | None = None, *,
                      rows: int = ROWS, seed: int = 0) -> InstrumentRatios:
    """Separation ratios and label content of what a pair of instruments shows, differentiable in the instrument.

    Computed in float64 from `instrument_moments`. Under jit or grad of the caller it has the caller's precision, which
    should be float64 too (`jax.enable_x64`).

    Args:
        instrument: such as a `StarSurvey`. Works under jit and grad.
        k: width of the bottleneck; the instrument's own default, or the number of label columns, when left out.
        labels: names of labels that count as the signal; the instrument's own default when left out.
        rows: objects that are drawn.
        seed: of the draw.

    Raises:
        ValueError: an unknown label, fewer than 400 rows, or k out of range.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> bool(instrument_ratios(STAR_PRESETS["both"], rows=500).delta_ca > 1)
    True
    """
    names, key = checked_settings(instrument, labels, rows, seed)
    return compiled(ratios_of)(instrument, key, names, rows, checked_width(instrument, names, k))


@checked
def instrument_regime(instrument: Instrument, k: int | None = None, labels: Sequence[str] | None = None, *,
                      rows: int = ROWS, seed: int = 0) -> InstrumentRegime:
    """The regime of a pair of instruments with unlimited objects, by label content.

    What `phasejax.diagnosis.diagnose` estimates from rows of the two views. The separation ratios beside it say how far
    the boundary is in units of the spectra.

    Args:
        instrument: a concrete one.
        k, labels, rows, seed: as `instrument_ratios` takes them.

    Raises:
        ValueError: as `instrument_ratios`; or labels of which a view tells nothing.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> instrument_regime(STAR_PRESETS["cp_only"]).regime
    <Regime.CP_ONLY: 'CP only'>
    """
    names, _ = checked_settings(instrument, labels, rows, seed)
    k = checked_width(instrument, names, k)
    return regime_of(instrument_ratios(instrument, k, names, rows=rows, seed=seed), k, names)


def regime_of(ratios: InstrumentRatios, k: int, names: tuple[str, ...]) -> InstrumentRegime:
    """The regime of concrete ratios."""
    content = {name: float(getattr(ratios.content, name)) for name in ("ca", "cp", "cp_reverse")}
    delta = {name: float(getattr(ratios, f"delta_{name}")) for name in content}
    shared = float(ratios.shared)
    if shared < LEAST_SHARED:
        content = dict.fromkeys(content, 0.0)
    if not all(map(math.isfinite, content.values())):
        raise ValueError(f"labels: expected labels of which both views tell something, got {', '.join(names)}")
    return InstrumentRegime(regime=Regime.from_code((content["ca"] > KEPT) + 2 * (content["cp"] > KEPT)), k=k,
                            labels=names, content=content, delta=delta, shared=shared)


def checked_width(instrument: Instrument, names: tuple[str, ...], k: int | None) -> int:
    """The width that is given, or else a default that has room for the labels' columns."""
    columns = sum(max(instrument.label_classes[name] - 1, 1) for name in names)
    if k is None:
        return max(columns, instrument.default_k)
    try:
        return check_count("k", k, columns)
    except ValueError:
        raise ValueError(f"k: expected a whole number of at least {columns}, the columns of the labels "
                         f"{', '.join(names)}, got {shown(k)}") from None


def ratios_of(instrument: Instrument, key: Array, names: tuple[str, ...], rows: int, k: int) -> InstrumentRatios:
    """`instrument_ratios` without checks, to be compiled."""
    return ratios_of_moments(moments_of(instrument, key, names, rows), k)


@checked
def ratios_of_moments(moments: InstrumentMoments, k: int) -> InstrumentRatios:
    """Separation ratios and label content of any covariances; differentiable where the values concerned are simple.

    Args:
        moments: covariances of two views with L labels.
        k: width of the bottleneck, from L to below min(d_x, d_y) - L.

    Raises:
        ValueError: k out of range.

    >>> import jax.numpy as jnp
    >>> one = jnp.eye(4)[:, :1]
    >>> found = ratios_of_moments(InstrumentMoments(xx=jnp.eye(4), xy=jnp.diag(jnp.array([.6, .4, .2, .1])),
    ...                                             yy=jnp.eye(4), x_labels=one, y_labels=one), k=1)
    >>> f"{found.delta_ca:.3f}"
    '1.500'
    """
    (d_x, d_y), columns = moments.xy.shape, moments.x_labels.shape[1]
    check_count("k", k, columns, min(d_x, d_y) - 1)
    root_x, root_y = whitening(moments.xx), whitening(moments.yy)
    a, a_reverse = root_x @ moments.xy, root_y @ moments.xy.T
    c = a @ root_y.T
    of_x, of_y = (_basis(root @ labels) for root, labels in ((root_x, moments.x_labels), (root_y, moments.y_labels)))
    place = k - columns

    def ratio(inside, outside):
        return singular_values(inside)[-1] / singular_values(outside)[place]

    rest = c - of_x @ (of_x.T @ c)
    common = jnp.sum((root_x @ moments.x_labels) * (c @ (root_y @ moments.y_labels)))
    return InstrumentRatios(
        delta_ca=ratio(of_x.T @ c @ of_y, rest - (rest @ of_y) @ of_y.T),
        delta_cp=ratio(of_x.T @ a, a - of_x @ (of_x.T @ a)),
        delta_cp_reverse=ratio(of_y.T @ a_reverse, a_reverse - of_y @ (of_y.T @ a_reverse)),
        content=label_content_of_covariances(moments.xx, moments.xy, moments.yy, moments.x_labels, moments.y_labels,
                                             k),
        shared=common / (jnp.nan if moments.label_variance is None else moments.label_variance))


def _basis(predictions):
    """Orthonormal columns with the span of the given ones."""
    return predictions @ whitening(predictions.T @ predictions).T
