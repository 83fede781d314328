"""The benchmark of decisions: its pairs, the truth by training, and how choices are judged."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import phasejax
import phasejax.deep
from benchmarks import decision, decision_networks, decision_own, decision_pairs, decision_probes, decision_truth


def test_both_halves_hold_every_kind_of_pair(monkeypatch):
    sources = decision_pairs.SOURCES
    assert len(sources) >= 43
    assert sum(source.group == "simulated" for source in sources.values()) >= 16
    for group in {source.group for source in sources.values()}:
        halves = [decision_pairs.half(name) for name, source in sources.items() if source.group == group]
        assert 0 <= halves.count("choose") - halves.count("report") <= 1
    monkeypatch.delenv(decision_pairs.FOLDER, raising=False)
    assert decision_pairs.missing() == [name for name, source in sources.items() if source.group == "folder"]
    assert not set(decision_pairs.missing()) & set(decision_pairs.available())


@pytest.mark.parametrize("name", ["digits sides, parity", "diabetes, body and blood", "wine, even and odd",
                                  "backgrounds, CA only", "simulated, 80 and 15 columns", "simulated, classes"])
def test_pairs_are_of_full_rank_and_the_same_each_time(name):
    pair = decision_pairs.load(name)
    again = decision_pairs.load.__wrapped__(name)
    for view, other in ((pair.x, again.x), (pair.y, again.y)):
        np.testing.assert_array_equal(view, other)
        assert len(view) == len(pair.labels) <= decision_pairs.ROWS
        assert view.shape[1] <= decision_pairs.COLUMNS
        assert np.linalg.matrix_rank(view - view.mean(0)) == view.shape[1]
    if pair.kind == "class":
        assert np.bincount(pair.labels).min() >= 16
    else:
        assert (pair.labels.mean(), pair.labels.std()) == pytest.approx((0, 1), abs=1e-12)


def test_the_stored_truth_covers_every_pair():
    truth = decision_truth.read_truth()
    assert set(truth) == set(decision_pairs.SOURCES)
    assert decision_truth.TRUTH.stat().st_size < 400_000
    saved = json.loads(decision_truth.TRUTH.read_text())
    assert "decision_truth train" in saved["command"]
    for name, by_k in truth.items():
        shape = len(decision_truth.SIZES), decision_truth._splits_done(saved, name, "64")
        assert tuple(by_k) == decision_truth.KS
        for scores in by_k.values():
            assert tuple(scores) == decision_truth.REPRESENTATIONS
            assert all(values.shape == shape and np.isfinite(values).all() for values in scores.values())
    # What the names of the pairs say.
    ca_only = truth["backgrounds, CA only"][8]
    assert ca_only["CA"].mean() > ca_only["CP both"].mean() + 0.1
    weak = truth["simulated, few correlated, weak in y"][4]
    assert weak["CP both"].mean() > weak["CA"].mean() + 0.1
    assert truth["backgrounds, neither"][4]["CA"].mean() < 0.2 < 0.9 < truth["backgrounds, neither"][4]["x"].mean()


def _correlated(n, seed):
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(n, 2))
    return (np.hstack([s, rng.normal(size=(n, 1))]) @ rng.normal(size=(3, 3)),
            np.hstack([s + rng.normal(size=(n, 2)), rng.normal(size=(n, 1))]) @ rng.normal(size=(3, 3)))


def test_the_loss_of_alignment_is_minus_the_squared_canonical_correlations():
    """By NumPy's singular values; columns that the mask leaves out change nothing."""
    x, y = _correlated(500, 0)

    def orthonormal(view):
        return np.linalg.qr(view - view.mean(0))[0]

    squares = np.linalg.svd(orthonormal(x).T @ orthonormal(y), compute_uv=False) ** 2
    zeros = np.zeros((500, 2))
    for views, mask in (((x, y), np.ones(3)), ((np.hstack([x, zeros]), np.hstack([y, zeros])), [1, 1, 1, 0, 0])):
        loss = decision_networks._deepcca(jnp.asarray(views[0]), jnp.asarray(views[1]), jnp.array(mask, float))
        # The ridge of 0.001 lowers the correlations a little.
        assert float(loss) == pytest.approx(-squares.sum() / 3, abs=0.01)


def test_validation_of_alignment_costs_what_does_not_generalise():
    """On the rows of the fit it is the loss itself; on others directions fitted to noise make it positive."""
    mask = jnp.ones(3)
    fitted, held = (tuple(map(jnp.asarray, _correlated(2000, 0))) for _ in range(2))
    assert float(decision_networks._deepcca_validated(fitted, held, mask)) == pytest.approx(
        float(decision_networks._deepcca(fitted[0], fitted[1], mask)), abs=0.03)
    noise = np.random.default_rng(1).normal(size=(4, 40, 16))
    few, other = (jnp.asarray(noise[0]), jnp.asarray(noise[1])), (jnp.asarray(noise[2]), jnp.asarray(noise[3]))
    assert float(decision_networks._deepcca(few[0], few[1], jnp.ones(16))) < -0.3
    assert float(decision_networks._deepcca_validated(few, other, jnp.ones(16))) > 0


def test_rows_are_split_once_and_padding_is_no_data():
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    parts = decision_probes.split_rows(labels, "class", 0)
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert [len(part) for part in parts] == [120, 30, 50]
    assert np.bincount(labels[parts[2]]).tolist() == [25, 15, 10]
    rng = np.random.default_rng(0)
    task = decision_networks.make_task(5 + 3 * rng.normal(size=(200, 4)), rng.normal(size=(200, 7)), *parts[:2])
    assert set(task.order) == set(parts[0])
    assert set(task.validated) == set(parts[1])
    assert not task.x[200:].any()
    assert not task.x[:, 4:].any()
    assert np.mean(task.x[parts[0], :4] ** 2) == pytest.approx(1)


def test_choices_are_judged_by_the_networks_that_they_name():
    """Worked by hand: clear cases 1 and 2, of which the first is chosen rightly; the second costs 0.3 and is stated."""
    cases = [(np.array([0.9, 0.5]), np.array([0, 1, 1])), (np.array([0.5, 0.8]), np.array([0, 1, 0])),
             (np.array([0.50, 0.51]), np.array([0, 0, 0]))]
    found = {metric: value for metric, value, _ in decision._quality(cases)}
    assert found == pytest.approx({
        "right_in_clear_cases": 0.5, "regret": 0.31 / 3, "stated_in_clear_cases": 1.0, "wrong_among_stated": 0.5,
        "wrong_among_sure": 0.0, "sure_in_clear_cases": 0.5, "clear_cases": 2, "cases": 3})


def test_a_class_of_which_one_label_is_left_is_left_out():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 95, 5])
    pair = decision_pairs.Pair(*rng.standard_normal((2, 200, 3)), labels, "class")
    for m, classes in ((200, 3), (40, 2)):
        given = decision.with_labels(pair, m)
        assert given.columns.shape == (len(given.rows), classes)
        assert given.columns.sum(0).min() > 1
        np.testing.assert_array_equal(given.columns.argmax(1), labels[given.rows])


def test_true_content_of_a_model_whose_nuisance_is_strong_in_y():
    """The label's signals have the largest correlations, and less variance in y than any nuisance coordinate."""
    sample, many = (decision_pairs._simulated(n, seed=1, kappa=(4.0, 4.0), nu=0.3, spread_y=100.0)
                    for n in (1500, 20_000))
    content = decision.true_content(sample, many, (2, 8, 40))
    np.testing.assert_allclose(content[0], 1, atol=0.05)
    assert content[1, 0] < 0.2
    assert content[1, 2] == pytest.approx(1)


def test_the_truth_of_one_size_is_its_part_of_that_of_all():
    every, one = decision_truth.read_truth(), decision_truth.read_truth(size="64")
    for name in ("wine, even and odd", "RNA and protein"):
        place = 1  # of the size in the file
        np.testing.assert_array_equal(one[name][4]["CP both"], every[name][4]["CP both"][[place]])
        assert not np.array_equal(one[name][4]["CP both"], every[name][4]["CP both"][[0]])


def test_own_networks_see_no_row_of_a_fold():
    x, y, *_ = decision_pairs.load("wine, first and last")
    fold = np.arange(len(x)) % 3 - (np.arange(len(x)) >= 150) * 4
    fold = np.maximum(fold, -1)
    found = decision_own.own_networks(x, y, fold, 2, steps=4, checks=2)
    assert [one.x.shape for one in found["CA"]] == [(3, len(x), 2)] * 2
    assert found["CP x->y"].y is None
    changed = decision_own.own_networks(np.where(fold[:, None] == 1, 100.0, x), y, fold, 2, steps=4, checks=2)
    for one, other in zip(found["CA"], changed["CA"], strict=True):
        np.testing.assert_array_equal(one.x[1, fold != 1], other.x[1, fold != 1])
        assert (one.x[0, fold == 2] != other.x[0, fold == 2]).any()


@pytest.mark.slow
def test_truth_and_decision_run_on_two_small_pairs(tmp_path, monkeypatch, capsys):
    names = ["wine, first and last", "diabetes, even and odd"]
    small = {"names": names, "sizes": ("64",), "splits": 2, "steps": 4, "checks": 2, "group": 2, "processes": 1}
    rows = decision_truth.run(store=tmp_path, **small)
    assert len(rows) == 2 * 3 * 12
    assert all(np.isfinite(entry["value"]) for entry in rows)
    # A run that knew fewer splits is gone on with, and gives the same.
    alone = small | {"names": names[:1], "group": 4}  # of the same shapes, so that it is not compiled again
    decision_truth.run(store=tmp_path / "went on", **alone | {"splits": 1})
    went_on = decision_truth.run(store=tmp_path / "went on", **alone)
    assert [entry["value"] for entry in went_on] == pytest.approx([entry["value"] for entry in rows[:36]], abs=1e-12)
    # What is done is not done again.
    monkeypatch.setattr(decision_truth, "trained_codes", None)
    assert decision_truth.run(store=tmp_path, **small) == rows
    monkeypatch.delenv(decision_pairs.FOLDER, raising=False)
    rows = decision.run(names, ks=(4,), labels=(100,), pilot=None, truth=tmp_path / "decision_truth.json")
    printed = capsys.readouterr().out
    assert "left out, since PHASEJAX_PAIRS" in printed
    values = {(entry["case"], entry["metric"]): entry["value"] for entry in rows}
    for half in ("choose", "report"):
        for column in ("always CA", "spectral", "moments", "linear", "lifted", "combined", "64 wide"):
            assert values[f"{half}, 100 labels, CA, CP both, {column}", "cases"] == 1
        # Networks of the only size that there is choose as the truth does.
        assert values[f"{half}, 100 labels, CA, CP both, 64 wide", "regret"] == 0


def test_the_benchmark_trains_the_pilot_that_a_diagnosis_trains(monkeypatch):
    """The same options, but for what does not change a training."""
    asked = []

    def trained(x, y, fold, k, **options):
        asked.append({name: value for name, value in options.items() if name != "progress"})
        raise FloatingPointError

    monkeypatch.setattr(phasejax.deep, "pilot_embeddings", trained)
    pair = decision_pairs.load("wine, first and last")
    with pytest.raises(FloatingPointError):
        decision._by_scores(decision.with_labels(pair, 300), 4, "default")
    with pytest.raises(FloatingPointError):
        phasejax.diagnose(pair.x, pair.y, pair.labels, k=4, pilot=True, fit=False)
    of_benchmark, of_diagnosis = asked
    assert of_diagnosis == {"encoder": "auto", "groups": None, "seed": 0} | of_benchmark


def test_own_networks_are_judged_by_trainings_of_their_size_and_all_else_by_the_mean():
    """Of two objectives, the mean over sizes prefers the first and networks of the own size the second."""
    name, every = "wine, first and last", {one for among in decision.COMPARISONS.values() for one in among}

    def truth(better):
        return {name: {4: {one: np.array([0.9 if one.startswith(better) else 0.5]) for one in every}}}

    chosen = {column: np.array([(0, 1, 0)] * len(decision.COMPARISONS)) for column in ("own", "combined")}
    of_size = {decision.OWN_SIZE: truth("CP"), "256": truth("CA")}
    rows = decision._compared({(name, "scores", 4, 300): chosen}, of_size, truth("CA"), [name], (4,), (300,))
    regret = {entry["case"].rsplit(", ", 1)[1]: entry["value"] for entry in rows
              if "CA, CP both" in entry["case"] and entry["metric"] == "regret"}
    assert regret == pytest.approx({"own": 0.4, "combined": 0, f"{decision.OWN_SIZE} wide": 0.4, "256 wide": 0})
