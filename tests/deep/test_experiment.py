"""Every choice of a run in one object, which is checked, saved, loaded and compared."""

from dataclasses import replace

import pytest

from phasejax import deep
from phasejax.deep import PRESETS, Experiment

SMALL = Experiment(size=16, n=1000, batch=50, probe_sizes=(100, 800))


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_saved_is_what_is_loaded(name):
    assert Experiment.from_json(PRESETS[name].to_json()) == PRESETS[name]


def test_rows_are_divided():
    assert (SMALL.train, SMALL.validation, SMALL.test) == (800, 100, 100)
    odd = replace(SMALL, n=1019)
    assert odd.train + odd.validation + odd.test == 1019


def test_differences_are_named():
    assert SMALL.difference(SMALL) == []
    assert replace(SMALL, seeds=3).difference(SMALL) == ["seeds: 3 here, 5 there"]
    assert len(SMALL.difference(replace(SMALL, noises=(0.3,), path="a.npz"))) == 2


@pytest.mark.parametrize(("changes", "message"), [
    ({"data": "mnist"}, "data: expected one of dsprites, shapes3d, features, got 'mnist'"),
    ({"objectives": ("cp", "clip")}, "objectives: expected one of vicreg, .*, got 'clip'"),
    ({"precision": "float16"}, "precision: expected one of float32, bfloat16, got 'float16'"),
    ({"encoder": "resnet"}, "encoder: expected one of convolutional, mlp, got 'resnet'"),
    ({"activation": "sin"}, "activation: expected one of relu, gelu, silu, tanh, got 'sin'"),
    ({"probed": "pixels"}, "probed: expected one of projection, both, embedding, got 'pixels'"),
    ({"data": "features"}, "path: expected an .npz file with x, y and labels for data features, got none"),
    ({"data": "features", "path": "a.npz"}, "encoder: expected mlp for data features, got convolutional"),
    ({"jitters": (0.1, -0.1)}, "jitters: expected values from 0 to 1, got -0.1"),
    ({"noises": (float("nan"),)}, "noises: expected values from 0 to 1, got nan"),
    ({"noises": (0.5, 0.5)}, "noises: expected different values"),
    ({"jitters": ()}, "jitters: expected at least one value, got none"),
    ({"size": 48}, "size: expected a power of two from 16 on, got 48"),
    ({"size": 8}, "size: expected a power of two from 16 on, got 8"),
    ({"widths": (4,) * 5}, "widths: expected at most 4 for size 16, got 5"),
    ({"batch": 101}, "batch: expected 2 to 100, the validation rows, got 101"),
    ({"seeds": 0}, "seeds: expected a whole number of at least 1, got 0"),
    ({"learning_rate": 0.0}, "learning_rate: expected a positive number, got 0.0"),
    ({"probe_sizes": (200, 100)}, "probe_sizes: expected increasing"),
    ({"probe_sizes": (100, 801)}, "probe_sizes: expected at most 800, the training rows, got 801"),
])
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


@pytest.mark.parametrize(("text", "message"), [
    ("{", "experiment: expected JSON, got"),
    ("[]", "experiment: expected a JSON object, got list"),
    (SMALL.to_json().replace('"seeds"', '"sedes"'), "expected the fields of this version, got unknown sedes"),
    (SMALL.to_json().replace('  "seeds": 5,\n', ""), "expected the fields of this version, got missing seeds"),
])
def test_bad_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Experiment.from_json(text)


@pytest.mark.parametrize("package", [deep, deep.data])
def test_public_names_are_there_when_they_are_asked_for(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
