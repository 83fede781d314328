"""How many signals the spiked model beside a diagnosis by content has."""

import pytest

from phasejax.diagnosis._content_diagnosis import signals_of_fit


@pytest.mark.parametrize(("k", "directions", "signals"), [(64, 5, 5), (2, 5, 5), (None, 5, 5), (None, 1, 1), (3, 1, 3),
                                                          (64, 1, 39)])
def test_the_width_counts_for_signals_only_where_the_labels_have_one_direction(k, directions, signals):
    assert signals_of_fit(k, directions, top=39) == signals
