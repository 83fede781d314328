"""Results as JSON: nothing but plain Python objects, and texts for numbers that JSON does not have."""

import json
import math

import numpy as np

from phasejax._core.serialise import plain


def test_nested_arrays_become_plain_and_come_back():
    value = {"matrix": np.array([[1.5, np.inf], [np.nan, -np.inf]]), "pair": (np.int64(3), np.float32(0.5)),
             "flags": np.array([True, False]), "none": None, "text": "a", "scalar": np.array(2.0), "list": [{"b": 1}]}
    found = plain(value)
    assert found == {"matrix": [[1.5, "inf"], ["nan", "-inf"]], "pair": [3, 0.5], "flags": [True, False], "none": None,
                     "text": "a", "scalar": 2.0, "list": [{"b": 1}]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert math.isnan(float(found["matrix"][1][0]))
