"""Two hundred hostile inputs: each is read or refused in one line. `python -m tests.fuzz` tries thousands."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.outcomes import outcome_of


@pytest.mark.parametrize(("area", "inputs"), [("files", 110), ("commands", 50), ("calls", 40)])
def test_hostile_inputs_are_read_or_refused_in_one_line(area, inputs):
    """`python -m tests.fuzz --area AREA --only NUMBER --quick` repeats an input that fails."""

    @settings(max_examples=inputs)
    @given(st.integers(0, 2**31))
    @example(0)
    def each(number):
        found = outcome_of(Random(f"{area} {number}"), area, quick=True)
        assert found.good, (found.kind, found.what, found.said)

    each()
