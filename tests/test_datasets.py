"""Data that come with the package are what their descriptions say."""

import numpy as np
import pytest

from phasejax.datasets import load_brown_dwarfs, load_pbmc_cite
from tests.support import ROOT


def test_the_cells_are_counts_as_the_field_normalises_them():
    cells = load_pbmc_cite()
    # A gene that no cell has is left out, so that every cell's values still add up.
    assert np.expm1(cells.x).sum(1) == pytest.approx(np.full(800, 1e4))
    assert (cells.x.max(0) > 0).all()
    assert np.abs(cells.y.sum(1)).max() < 1e-9
    _, counts = np.unique(cells.labels, return_counts=True)
    assert sorted(counts) == [6, 15, 46, 62, 86, 115, 232, 238]
    assert [*np.unique(cells.batch, return_counts=True)[1]] == [400, 400]


def test_licences_lie_beside_the_data():
    for path in (ROOT / "phasejax" / "_data").glob("*.npz"):
        assert path.stat().st_size < 1_000_000
        assert "Permission is hereby granted" in path.with_name(f"{path.stem}_LICENSE.txt").read_text()
    # One artist of the emoji has a licence that must stand there in full, the other one that must be named.
    emoji = (ROOT / "phasejax" / "_data" / "emoji_LICENSE.txt").read_text()
    for needed in ("Apache License", "END OF TERMS AND CONDITIONS", "Noto Emoji", "Twemoji", "Twitter, Inc and other",
                   "https://creativecommons.org/licenses/by/4.0/", "Changes to both"):
        assert needed in emoji


def test_brown_dwarfs_cool_as_their_types_say():
    """Of the published trends: water at 1.4 micrometres deepens from M to T; J - Ks is largest among late L dwarfs."""
    stars = load_brown_dwarfs()
    bins = {band: (stars.wavelength > low) & (stars.wavelength < high)
            for band, (low, high) in {"water": (1.34, 1.44), "J": (1.25, 1.30)}.items()}
    water = np.log(stars.x[:, bins["water"]].mean(1).clip(1e-3) / stars.x[:, bins["J"]].mean(1))
    colour = stars.y[:, 0] - stars.y[:, 2]
    median = [[np.median(of[(stars.spectral_type >= low) & (stars.spectral_type < low + 3)]) for low in (6, 11, 16, 25)]
              for of in (water, colour)]
    assert median[0] == sorted(median[0], reverse=True)
    assert np.argmax(median[1]) == 2
    assert median[1][3] < 0.3
    np.testing.assert_allclose(stars.x.mean(1), 1, atol=1e-4)
    assert np.array_equal(np.array(list("MLT"))[(stars.spectral_type // 10).astype(int)], stars.labels)


def test_a_spectrum_is_there_once_and_a_source_keeps_its_spectra():
    stars = load_brown_dwarfs(10)
    assert (len(stars.x), len(np.unique(stars.source))) == (1509, 1341)
    assert len(np.unique(stars.x, axis=0)) == len(stars.x)
    again = stars.source[np.isin(stars.source, np.flatnonzero(np.bincount(stars.source) == 2))]
    assert len(again) == 2 * 123
    assert (load_brown_dwarfs(200).snr >= 200).all()
    with pytest.raises(ValueError, match="least_snr: expected at most"):
        load_brown_dwarfs(1e9)
