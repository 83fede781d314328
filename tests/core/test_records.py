"""Results through `to_dict` and JSON and back: every field as it was, and other kinds and versions refused."""

import json
import math
import re
from dataclasses import fields, is_dataclass, replace
from functools import cache

import jax
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax._core.records import Record, check_schema
from phasejax.deep import HeadPrediction, HeadScore, TrainedHeads, TrainedObjective
from phasejax.diagnosis import (
    Diagnosis,
    Drift,
    LabelQuality,
    MomentDiagnosis,
    QualityLevel,
    QualityOutcome,
    SpectralDiagnosis,
    detect_drift,
)
from phasejax.information import (
    EstimatedPartialInformation,
    PartialInformation,
    decompose,
    mutual_information,
    shared_unique_bits,
)
from phasejax.instruments import InstrumentRegime, InstrumentSensitivity, Upgrade
from phasejax.io import inspect_pair
from phasejax.similarity import MetricResult, SimilarityTable
from phasejax.theory import Crossing, Plan, Regime
from tests.support import DATA

MODEL = SpikedModel.create([1.5, 1.2], nu=[0.4, 0.1, 0.3], gamma_x=0.5, d=5)
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((90, 3)), RNG.standard_normal((90, 2))
NAMES = np.array(["a<b>", "c&d", "e"])[np.arange(90) % 3]


# Of `results`, which are not made before a test asks for them.
RESULTS = ("Choice 0", "SimilarityTable 1", "Plan 2", "Plan 3", "Crossing 4", "LabelQuality 5", "TrainedHeads 6",
           "Inspection 7", "InstrumentRegime 8", "InstrumentSensitivity 9", "Upgrade 10", "PartialInformation 11",
           "EstimatedPartialInformation 12", "Information 13", "PartialInformation 14", "Drift 15", "Drift 16")


@cache
def decision() -> Diagnosis:
    return Diagnosis.from_json((DATA / "decision.json").read_text("utf-8"))


@cache
def moments() -> MomentDiagnosis:
    return MomentDiagnosis.from_json((DATA / "diagnosis.json").read_text("utf-8"))


def label_quality() -> LabelQuality:
    def outcome(**values):
        return QualityOutcome(**{"n": 40, "labelled": 30, "seen": True, "regime": "CA only", "best": "CA",
                                 "probabilities": (0.1, 0.9, 0.0, 0.0), "content": {"CA": 0.9, "CP": math.nan},
                                 "scores": {"CA": 0.7, "x and y": 0.8}, "metric": "R2", "decided": True} | values)
    level = QualityLevel(by="noise", level=0.5, name="half <b>", outcomes=(outcome(), outcome(regime=None)),
                         about={"sd": 1.5}, detail="&")
    rows = QualityLevel(by="pairs", level=20, name="20 pairs", outcomes=(outcome(),), about={})
    return LabelQuality(given=outcome(), levels=(level, rows), by=("noise", "rows"), n=40, labelled=30, groups=None,
                        d_x=3, d_y=2, kind="real", k=2, k_from_labels=True, among=("CA", "CP x->y"), confidence=0.9,
                        foretold={"text": "30 pairs", "pairs": 30}, warnings=("few <rows>",))


def heads() -> TrainedHeads:
    score = HeadScore("CP x->y", "type <1>", False, "ridge", True, 4, "R2", 0.5, 0.4, 0.6, 0.0, 0.55, (0.5, math.nan))
    return TrainedHeads(
        n=90, d_x=3, d_y=2, groups=None, rows={"train": 50, "validation": 20, "test": 20}, groups_of_parts=None,
        targets={"type <1>": {"kind": "real", "classes": None, "known": 90, "nuisance": False}}, bottleneck=4,
        widths=(8,), norm=None, batch=16, epochs=3, patience=2, seeds=2, confidence=0.9,
        scores=(score, replace(score, objective="x", value=math.nan)),
        trained=(TrainedObjective("CP x->y", {"learning_rate": 0.001}, 1, (2, 1), (3, 3), (0.5, math.inf),
                                  (False, True)),),
        predictions=(HeadPrediction("type <1>", {"CA": 0.4}, None, False, None, None, None, "nothing shared"),))


@cache
def results() -> dict[str, Record]:
    """One result of every class that is saved."""
    table = SimilarityTable(
        n=90, d_x=3, d_y=2, k=5, distance="cosine", permutations=99, resamples=5, confidence=0.9, kernel_rows=90,
        metrics={"cka": MetricResult(0.3, 0.1, 0.01, 0.2, 0.4),
                 "svcca": MetricResult(0.3, 0.1, math.nan, math.nan, math.nan, "undefined")},
        left_out={"cknna": "too few rows"}, computed_on={"jax": "0"})
    n = np.geomspace(9, 900, 7)
    planned = Plan(
        model=MODEL, regime=Regime.BOTH, probability=0.9, error=None, pairs=54, pairs_stated=60, labels=None,
        label_r2=1, objective="CP", pairs_of={"CA": 53, "CP": 54}, content={"CA": 1.0, "CP": 0.95}, n=n,
        limit="CP is slow", probabilities=n / 1000, expected={"CA": 1 - 1 / n, "CP": 1 - 3 / n},
        ranges={"pairs": (40.0, math.inf), "pairs_stated": (50.0, 90.0), "labels": (math.inf, math.inf)},
        range_level=0.9, warnings=("a pilot",))
    never = replace(planned, pairs=None, regime=None, error=1e-6, ranges={}, range_level=None, warnings=())
    crossing = Crossing(Regime.CP_ONLY, True, MODEL, {"nu": 0.3, "kappa": -0.1}, (1.6, 1.0), (2.5, 1.4), 1e-9)
    regime = InstrumentRegime(Regime.CA_ONLY, 2, ("log_g",), {"ca": 1.0, "cp": 0.06, "cp_reverse": 0.3},
                              {"ca": 1.8, "cp": math.inf, "cp_reverse": 0.2}, 0.5)
    slopes = {ratio: {"depth": 0.1, "noise": -1.5} for ratio in ("ca", "cp", "cp_reverse")}
    parts = PartialInformation(0.1, 0.2, 0.0, 0.3, 1e-8, {"jax": "0"})
    bits = shared_unique_bits(jax.random.key(0), 1, features=2, shared=2, unique=2, classes=2, information=0.2)
    found = [
        decision().best(), table, planned, never, crossing,
        label_quality(), heads(), inspect_pair(X, Y, NAMES), regime,
        InstrumentSensitivity(2, ("log_g",), slopes, slopes),
        Upgrade("noise", "ppm", 1.0, 2.0, (regime, replace(regime, regime=Regime.BOTH))), parts,
        EstimatedPartialInformation(parts, parts, parts, 4, 5), mutual_information(bits),
        decompose(np.full((2, 2, 2), 1 / 8)), detect_drift(moments(), moments()), detect_drift(decision(), decision())]
    return {f"{type(one).__name__} {place}": one for place, one in enumerate(found)}


def assert_same(a, b, path="result"):
    """Equal in every field, NaN included, and of the same kinds."""
    if is_dataclass(a):
        assert type(a) is type(b), path
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}")
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for name in a:
            assert_same(a[name], b[name], f"{path}[{name!r}]")
    elif isinstance(a, tuple):
        assert isinstance(b, tuple), path
        assert len(a) == len(b), path
        for place, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{path}[{place}]")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)
    else:
        assert type(a) is type(b) or {type(a), type(b)} == {int, float}, (path, a, b)
        assert a == b or (a != a and b != b), (path, a, b)


def classes_of(base):
    for one in base.__subclasses__():
        yield one
        yield from classes_of(one)


def test_there_is_a_result_of_every_class_that_is_saved():
    assert tuple(results()) == RESULTS
    tried = {type(one) for one in results().values()}
    assert {one for one in classes_of(Record) if one.__module__.startswith("phasejax.")} == tried


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_comes_back_equal_in_every_field(name):
    found = results()[name]
    assert_same(type(found).from_dict(found.to_dict()), found)
    assert_same(type(found).from_json(found.to_json()), found)
    assert json.loads(found.to_json()) == found.to_dict()


def test_diagnoses_come_back_equal_in_every_field():
    spectra = moments()
    spectral = SpectralDiagnosis("spectral", 600, 12, 12, 2, spectra.ca, spectra.cp, spectra.cp_reverse, spectra.ca,
                                 1.5, 0.4, 1.0, 2.0, 3.0, 4.0, 0.5, 1.0, ("few rows",), {"jax": "0"})
    assert_same(SpectralDiagnosis.from_json(spectral.to_json()), spectral)
    alone = replace(decision(), fit=None)  # diagnoses with it come back in tests/diagnosis/test_document.py
    assert_same(Diagnosis.from_dict(alone.to_dict(draws=True)), alone)
    with pytest.raises(ValueError, match=r"expected a diagnosis of method spectral, got content$"):
        SpectralDiagnosis.from_dict(alone.to_dict())


@pytest.mark.parametrize("name", RESULTS)
def test_other_kinds_and_versions_are_refused_in_one_line(name):
    found = results()[name]
    saved = found.to_dict()
    kind = saved["schema"]["name"]
    later = saved | {"schema": {"name": kind, "version": 2}, "phasejax_version": "9.9"}
    for wrong, said in ((later, f"got {kind}, version 2, written by phasejax 9.9"),
                        (saved | {"schema": {"name": "phasejax.other", "version": 1}}, "got phasejax.other, version 1"),
                        ({}, "got an object without the entry schema")):
        text = re.escape(f"saved: expected a result of kind {kind}, version 1, {said}")
        with pytest.raises(ValueError, match=text) as error:
            type(found).from_dict(wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="expected a complete JSON text"):
        type(found).from_json(found.to_json()[:-20])


def test_versions_of_diagnoses_are_checked():
    for kind, name in ((Diagnosis, "decision"), (MomentDiagnosis, "diagnosis")):
        saved = json.loads((DATA / f"{name}.json").read_text("utf-8"))
        later = saved | {"schema": {"name": "phasejax.diagnosis", "version": 2}}
        with pytest.raises(ValueError, match=r"expected a result of kind phasejax\.diagnosis, version 1, got"):
            kind.from_dict(later)


def test_what_is_no_object_is_refused_too():
    with pytest.raises(ValueError, match=r"^saved: expected a result of kind a, version 1, got list$"):
        check_schema([], "a", 1)


def test_damaged_fields_are_named():
    planned, crossing = results()["Plan 2"], results()["Crossing 4"]
    for found, change, said in (
            (planned, {"n": [1, "x"]}, "1 dimensions in the field n"), (planned, {"n": [[1.0]]}, "in the field n"),
            (planned, {"pairs": "many"}, "expected int in the field pairs, got 'many'"),
            (planned, {"regime": "CB"}, "expected one of Neither, CA only, CP only, Both in the field regime"),
            (planned, {"regime": ["CA only"]}, "in the field regime"),
            (crossing, {"model": {}}, "expected the field model.kappa, got none")):
        with pytest.raises(ValueError, match=said):
            type(found).from_dict(found.to_dict() | change)


def test_networks_and_rows_stay_out_of_saved_heads():
    assert not {"heads", "data"} & heads().to_dict().keys()
    again = TrainedHeads.from_dict(heads().to_dict())
    assert (again.heads, again.data) == (None, None)
    assert again.summary() == heads().summary()


def test_a_drift_without_a_regime_comes_back_without_one():
    drift = detect_drift(moments(), moments())
    vague = replace(drift, regime_before=None, regime_now=None, unseen_now="nothing shared")
    assert (vague.to_dict()["regime_before"], vague.to_dict()["regime_now"]) == ("undecided", "none")
    assert_same(Drift.from_dict(vague.to_dict()), vague)
