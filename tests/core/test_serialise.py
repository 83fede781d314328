"""Results as JSON: nothing but plain Python objects, and texts for numbers that JSON does not have."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import pytest

from phasejax._core.serialise import plain, restored


def test_nested_arrays_become_plain_and_come_back():
    value = {"matrix": np.array([[1.5, np.inf], [np.nan, -np.inf]]), "pair": (np.int64(3), np.float32(0.5)),
             "flags": np.array([True, False]), "none": None, "text": "a", "scalar": np.array(2.0), "list": [{"b": 1}]}
    found = plain(value)
    assert found == {"matrix": [[1.5, "inf"], ["nan", "-inf"]], "pair": [3, 0.5], "flags": [True, False], "none": None,
                     "text": "a", "scalar": 2.0, "list": [{"b": 1}]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert math.isnan(float(found["matrix"][1][0]))


@dataclass(frozen=True)
class Inner:
    value: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    count: int
    inner: dict[str, Inner]
    pair: tuple[float, int]
    missing: float | None = None
    flag: bool = True


OUTER = Outer(2, {"a": Inner(math.inf, ("x", "y"))}, (0.5, 3))


def test_a_record_comes_back_from_its_json():
    text = json.dumps(plain(asdict(OUTER)), allow_nan=False)
    assert restored(Outer, json.loads(text)) == OUTER
    assert restored(Outer, {**json.loads(text), "later": 1}) == OUTER


@pytest.mark.parametrize(("changed", "message"), [
    ({"count": 2.5}, "expected int in the field count, got 2.5"),
    ({"count": True}, "expected int in the field count, got True"),
    ({"missing": 10**400}, "expected float in the field missing, got 1000"),
    ({"flag": 1}, "expected bool in the field flag, got 1"),
    ({"inner": {"a": {"value": "big", "names": []}}}, "expected float in the field inner.a.value, got 'big'"),
    ({"inner": {"a": {"value": 1.0}}}, r"expected the field inner.a.names, got none"),
    ({"inner": {"a": 3}}, "expected an object in the field inner.a, got 3"),
    ({"pair": [0.5]}, r"expected tuple\[float, int\] in the field pair, got \[0.5\]"),
    ({"pair": [0.5, "c"]}, r"expected int in the field pair\[1\], got 'c'"),
])
def test_a_damaged_record_is_refused_with_its_field(changed, message):
    with pytest.raises(ValueError, match=message):
        restored(Outer, {**plain(asdict(OUTER)), **changed})
