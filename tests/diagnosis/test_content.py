"""Label content of data: a row-by-row oracle, invariances, the four regimes, and what keeps it from stating one."""

import dataclasses
import json

import numpy as np
import pytest

from phasejax._core.serialise import plain
from phasejax.diagnosis import ContentCurve, label_content
from phasejax.theory import Regime


def pairs(rng, n, *, kappa=2.0, nu=0.5, nuisance_y=5.0, d=8, d_y=6, k=2, heavy=False):
    """Rows of a spiked model with k signals (the labels), gamma_x = 1 and gamma_y = .05, of unit nuisance in x."""
    draw = (lambda *s: rng.standard_t(5, s) / np.sqrt(5 / 3)) if heavy else (lambda *s: rng.standard_normal(s))
    signal, u, v = draw(n, k), draw(n, d - k), draw(n, d_y - k)
    p = min(d, d_y) - k
    v[:, :p] = nu * u[:, :p] + np.sqrt(1 - nu**2) * v[:, :p]
    return (np.hstack([kappa * signal + draw(n, k), u]),
            np.hstack([kappa * signal + np.sqrt(0.05) * draw(n, k), np.sqrt(nuisance_y) * v]), signal)


@pytest.fixture
def few_fits(monkeypatch):
    """One division of the rows into ten groups: a tenth of the fits."""
    monkeypatch.setattr("phasejax.diagnosis._content._EFFORT", ((np.inf, 10, 1),))


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**-0.5) @ vectors.T


def row_by_row(x, y, t, labelled, block, k, deleted=None, whiten_test=True):
    """Sums of e_i over labelled rows, by symmetric roots and one row at a time, with the rows of one block deleted."""
    present = block != (-1 if deleted is None else deleted)
    parts, total = np.zeros(3), 0.0
    has_label = np.isin(np.arange(len(x)), labelled)
    full = np.zeros((len(x), t.shape[1]))
    full[labelled] = t
    for fold in np.unique(block[present]):
        train = present & (block != fold)
        fitted = train & has_label
        mean_x, mean_y, mean_t = x[fitted].mean(0), y[fitted].mean(0), full[fitted].mean(0)
        a, b = x[train] - x[train].mean(0), y[train] - y[train].mean(0)
        root_x, root_y = root(a.T @ a / len(a)), root(b.T @ b / len(b))
        cross = a.T @ b / len(a)
        c = root_x @ cross @ root_y
        centred = full[fitted] - mean_t
        b_x = root_x @ (x[fitted] - mean_x).T @ centred / len(centred)
        b_y = root_y @ (y[fitted] - mean_y).T @ centred / len(centred)
        kept = [np.linalg.svd(matrix)[0][:, :k] for matrix in (c, root_x @ cross, root_y @ cross.T)]
        maps = [kept[0] @ kept[0].T @ c, kept[1] @ kept[1].T @ c, c @ kept[2] @ kept[2].T]
        for i in np.flatnonzero(present & (block == fold) & has_label):
            h, g = x[i] - mean_x, y[i] - mean_y
            if whiten_test:
                h, g = root_x @ h, root_y @ g
            earned = [(h @ m @ b_y + g @ m.T @ b_x) @ (full[i] - mean_t) for m in (*maps, c)]
            parts, total = parts + earned[:3], total + earned[3]
    return parts / total, total


@pytest.fixture(scope="module")
def small():
    """70 rows of 7 groups, of which 50 are labelled, with the curve for k = 2."""
    rng = np.random.default_rng(0)
    x, y, signal = pairs(rng, 70, d=4, d_y=5)
    x, y = x + 3.0, y @ rng.standard_normal((5, 5)) - 1.0
    groups = rng.permutation(np.arange(70) % 7) * 10
    labelled = np.sort(rng.permutation(70)[:50])
    t = signal[labelled] @ np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 2.0]]) + rng.standard_normal((50, 3))
    return (x, y, t, labelled), groups, label_content(x, y, t, labelled, groups=groups, ks=[2])


def test_shares_against_an_oracle_that_goes_row_by_row(small):
    data, groups, curve = small
    shares, _ = row_by_row(*data, groups, 2)
    np.testing.assert_allclose([curve.at(2)[name].value for name in ("ca", "cp", "cp_reverse")], shares, rtol=1e-9)
    mutant, _ = row_by_row(*data, groups, 2, whiten_test=False)
    assert np.max(np.abs(mutant - shares)) > 1e-3
    in_sample, _ = row_by_row(*data, np.arange(70) % 7, 2)
    assert np.max(np.abs(in_sample - shares)) > 1e-3


def test_errors_against_a_jackknife_that_repeats_every_fit(small):
    data, groups, curve = small
    found = [row_by_row(*data, groups, 2, deleted=group) for group in np.unique(groups)]
    replicates, totals = (np.array(values) for values in zip(*found, strict=True))
    error = np.sqrt(6 / 7 * np.sum((replicates - replicates.mean(0)) ** 2, 0))
    factor = 0.85 - 0.35 * np.minimum(error / 0.2, 1)
    assert np.ptp(factor) > 0.01
    shown = [(estimate.high - estimate.low) / 2 for estimate in curve.at(2).values()]
    np.testing.assert_allclose(shown, 1.9431802805 * factor * error, rtol=1e-8)  # t of 6 degrees of freedom at .95
    z = row_by_row(*data, groups, 2)[1] / np.sqrt(6 / 7 * np.sum((totals - totals.mean()) ** 2))
    assert curve.label_z == pytest.approx(z, rel=1e-8)


@pytest.mark.usefixtures("few_fits")
def test_all_components_keep_everything():
    """The smaller view's space is whole with k = rank: s = 1 for alignment, and for prediction from that view."""
    x, y, t = pairs(np.random.default_rng(1), 200, d=4, d_y=6)
    shares = label_content(x, y, t, np.arange(200), ks=[4]).at(4)
    assert shares["ca"].value == pytest.approx(1, abs=1e-9)
    assert shares["cp"].value == pytest.approx(1, abs=1e-9)
    assert shares["ca"].high - shares["ca"].low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("model", "regime"), [
    ({"kappa": 2.0, "nu": 0.1}, Regime.BOTH),  # rho .89, tau 1.79; nu .1, xi .22
    ({"kappa": 2.0, "nu": 0.6, "nuisance_y": 50.0}, Regime.CA_ONLY),  # nu .6, xi 4.2
    ({"kappa": 1.0, "nu": 0.9, "nuisance_y": 0.1}, Regime.CP_ONLY),  # rho .69, tau .71; nu .9, xi .28
    ({"kappa": 0.8, "nu": 0.9, "nuisance_y": 5.0}, Regime.NEITHER),  # rho .61, tau .5; nu .9, xi 2.0
])
def test_regimes_of_models_far_from_the_boundary(model, regime):
    """A label with noise on 300 of 1000 rows, and spanning labels with heavy tails; over 50 rows per column."""
    for heavy in (False, True):
        rng = np.random.default_rng(int(heavy))
        x, y, t = pairs(rng, 1000, heavy=heavy, **model)
        labelled = np.arange(1000)
        if not heavy:
            labelled = np.arange(300)
            t = t[:300].sum(1, keepdims=True) + 0.5 * rng.standard_normal((300, 1))
        curve = label_content(x, y, t, labelled, ks=[2])
        assert curve.regime(2) is regime
        assert not curve.reason(2)


def test_the_seed_only_divides_the_rows():
    x, y, t = pairs(np.random.default_rng(2), 300)
    curves = [label_content(x, y, t, np.arange(300), ks=[2], seed=seed) for seed in range(4)]
    assert {curve.regime(2) for curve in curves} == {Regime.BOTH}
    for name in ("ca", "cp", "cp_reverse"):
        values = [curve.at(2)[name].value for curve in curves]
        assert all(curve.at(2)[name].low <= value <= curve.at(2)[name].high for curve in curves for value in values)


def numbers(curve):
    return np.array([[getattr(share, end) for end in ("value", "low", "high")]
                     for name in ("ca", "cp", "cp_reverse") for share in getattr(curve, name)] + [[curve.label_z] * 3])


@pytest.mark.usefixtures("few_fits")
def test_units_do_not_matter():
    x, y, t = pairs(np.random.default_rng(3), 150)
    curve = label_content(x, y, t, np.arange(150))
    for scale_x, scale_y, scale_t in ((-1e20, 1e-20, 1e-9),):  # without signs and shifts: tests/test_units.py
        other = label_content(scale_x * x, scale_y * y + scale_y, scale_t * t, np.arange(150))
        np.testing.assert_allclose(numbers(other), numbers(curve), rtol=1e-9, atol=1e-9)
        assert other.probabilities == curve.probabilities
    # Alignment does not depend on the units of single columns either.
    other = label_content(x * np.geomspace(1e-6, 1e6, 8), y * np.geomspace(1e5, 1e-5, 6), t, np.arange(150))
    np.testing.assert_allclose(numbers(other)[:3], numbers(curve)[:3], rtol=1e-7)


@pytest.mark.usefixtures("few_fits")
def test_constant_and_repeated_columns_get_no_weight():
    x, y, t = pairs(np.random.default_rng(4), 150)
    curve = label_content(x, y, t, np.arange(150), ks=[1, 2])
    wide_x = np.hstack([x, np.full((150, 1), 7.1), x[:, :1], x[:, 2:3] - x[:, 1:2]])
    other = label_content(wide_x, np.hstack([y, np.zeros((150, 2))]), t, np.arange(150), ks=[1, 2])
    np.testing.assert_allclose(numbers(other)[:4], numbers(curve)[:4], rtol=1e-7)  # as a target x has other weights now
    assert (other.columns, other.rank) == (14, 6)
    assert "3 of the 11 columns of x are constant or repeat others." in other.warnings
    with pytest.raises(ValueError, match="y: expected a column that varies, got none"):
        label_content(x, np.ones((150, 2)), t, np.arange(150))


@pytest.mark.usefixtures("few_fits")
def test_a_column_that_varies_in_one_row_only_is_harmless():
    x, y, t = pairs(np.random.default_rng(5), 200)
    lonely = np.zeros((200, 1))
    lonely[17] = 1e3
    curve = label_content(np.hstack([x, lonely]), y, t, np.arange(200), ks=[2])
    assert np.isfinite(numbers(curve)).all()
    assert curve.regime(2) is label_content(x, y, t, np.arange(200), ks=[2]).regime(2)


@pytest.mark.usefixtures("few_fits")
def test_rows_that_repeat_within_groups_do_not_count_twice():
    """Each row four times, as a group: shares and errors are those of the single rows (the factor aside)."""
    x, y, t = pairs(np.random.default_rng(6), 120)
    once = label_content(x, y, t, np.arange(120), ks=[2], groups=np.arange(120))
    fourfold = label_content(*(np.repeat(view, 4, 0) for view in (x, y, t)), np.arange(480), ks=[2],
                             groups=np.repeat(np.arange(120), 4))
    for name in ("ca", "cp"):
        a, b = once.at(2)[name], fourfold.at(2)[name]
        assert abs(a.value - b.value) < (a.high - a.low) / 2
        assert 0.6 < (b.high - b.low) / (a.high - a.low) < 1.7
    assert 0.6 < fourfold.label_z / once.label_z < 1.7


@pytest.mark.usefixtures("few_fits")
def test_labels_without_information_give_no_regime():
    """Independent labels: z > 2 by chance in about 3 % of data sets, of which few give a sure regime too; none of 5."""
    rng = np.random.default_rng(7)
    for _ in range(5):
        x, y, _ = pairs(rng, 150, d=5, d_y=4)
        curve = label_content(x, y, rng.standard_normal((150, 1)), np.arange(150), ks=[2])
        assert curve.regime(2) is None
        assert curve.reason(2)


@pytest.mark.usefixtures("few_fits")
def test_reasons():
    x, y, t = pairs(np.random.default_rng(8), 1000)
    few = label_content(x[:40], y[:40], t[:40], np.arange(40), ks=[2])
    assert few.reason(2) == "40 rows are fewer than 3 for each of the 14 columns of both views."
    grouped = label_content(x, y, t, np.arange(1000), ks=[2], groups=np.arange(1000) % 5)
    assert grouped.reason(2) == "5 independent groups with labels are fewer than 8."
    sure = label_content(x, y, t, np.arange(1000), ks=[2])
    blind = dataclasses.replace(sure, label_z=1.2)
    assert blind.reason(2).startswith("What both views tell about the labels is 1.2 standard errors above nothing")
    unsure = dataclasses.replace(sure, probabilities=((0.1, 0.15, 0.05, 0.7),))
    assert unsure.reason(2) == "The likeliest regime, Both, has a probability of 0.70 only."
    assert unsure.regime(2) is None
    assert unsure.likeliest(2) is Regime.BOTH


@pytest.mark.usefixtures("few_fits")
def test_fewer_rows_than_columns_are_no_error():
    x, y, t = pairs(np.random.default_rng(9), 30, d=40, d_y=25)
    curve = label_content(x, y, t, np.arange(30))
    assert np.isfinite(numbers(curve)).all()
    assert curve.regime(curve.ks[0]) is None


@pytest.mark.usefixtures("few_fits")
def test_numbers_of_components():
    x, y, t = pairs(np.random.default_rng(10), 300, d=12, d_y=10, k=3)
    curve = label_content(x, y, t, np.arange(300))
    assert curve.ks == (1, 2, 3, 4, 8)  # powers of two, and the three label directions
    assert curve.k80["ca"].value == 3
    assert curve.k80["ca"].low <= 3 <= curve.k80["ca"].high <= curve.rank == 10
    one_hot = np.eye(4)[np.random.default_rng(0).integers(0, 4, 300)]
    assert 3 in label_content(x, y, one_hot, np.arange(300)).ks
    for ks in ([0], [11], []):
        with pytest.raises(ValueError, match="ks: expected numbers from 1 to 10, the lesser rank of the views"):
            label_content(x, y, t, np.arange(300), ks=ks)
    with pytest.raises(ValueError, match="k: expected one of 1, 2, 3, 4, 8, got 5"):
        curve.regime(5)
    with pytest.raises(ValueError, match="groups: expected at least 3 with labels, got 2"):
        label_content(x, y, t, np.arange(300), groups=np.arange(300) % 2)
    assert label_content(x[:, :1], y, t, np.arange(300)).ks == (1,)


@pytest.mark.usefixtures("few_fits")
def test_json_there_and_back():
    x, y, t = pairs(np.random.default_rng(11), 100)
    curve = label_content(x, y, t, np.arange(100))
    saved = json.loads(json.dumps(plain(dataclasses.asdict(curve))))
    assert ContentCurve.from_dict(saved) == curve
    with pytest.raises(ValueError, match="label_z"):
        ContentCurve.from_dict({name: value for name, value in saved.items() if name != "label_z"})
    with pytest.raises(ValueError, match="as many shares and probabilities as ks"):
        ContentCurve.from_dict(saved | {"ca": saved["ca"][:1]})
