"""Real paired data that comes with scikit-learn or with the package, for examples and tests that need no download."""

from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int, Shaped

from phasejax._core.validation import check_number
from phasejax.io import centred_log_ratio, log_normalise


class PairedData(NamedTuple):
    """Two views of the same n things, with their labels.

    Args:
        x, y: the views, shapes (n, d_x) and (n, d_y).
        labels: class of each thing, shape (n,).
    """

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    labels: Int[np.ndarray, "n"]


def load_digit_halves() -> PairedData:
    """Left and right halves of 1797 images of handwritten digits, labelled with the digit.

    The 8 x 8 images of scikit-learn's digits, with intensities from 0 to 16, are cut into two views of 8 x 4
    pixels. Pixels that are blank in every image are left out, which leaves 30 on the left and 31 on the right.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    >>> x, y, labels = load_digit_halves()
    >>> x.shape, y.shape, labels.shape
    ((1797, 30), (1797, 31), (1797,))
    """
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    digits = cast(Bunch, load_digits())
    left, right = digits.images[:, :, :4].reshape(-1, 32), digits.images[:, :, 4:].reshape(-1, 32)
    return PairedData(left[:, np.ptp(left, 0) > 0], right[:, np.ptp(right, 0) > 0],
                      digits.target.astype(np.int64))


class PairedCells(NamedTuple):
    """RNA and surface proteins of the same cells.

    Args:
        x: log-normalised RNA, shape (n, genes).
        y: proteins by centred log-ratio, shape (n, proteins).
        labels: type of each cell, shape (n,).
        batch: in which each cell was measured, shape (n,), a nuisance.
    """

    x: Float[np.ndarray, "n genes"]
    y: Float[np.ndarray, "n proteins"]
    labels: Shaped[np.ndarray, "n"]
    batch: Shaped[np.ndarray, "n"]


def load_pbmc_cite() -> PairedCells:
    r"""RNA and 224 surface proteins of 800 human blood cells of 8 types, measured in two batches.

    Counts c of 500 genes become log(1 + 10^4 c / sum of the cell); genes that no cell has are left out. Those of
    proteins become the centred log-ratio over the proteins of a cell, log(1 + c) minus its mean.

    Source: the quick-start data of scmidas 0.3.0 (MIT, He et al., MIDAS, Nature Biotechnology 2024); the licence lies
    beside the file.

    >>> cells = load_pbmc_cite()
    >>> cells.x.shape, cells.y.shape, len(set(cells.labels)), sorted(set(cells.batch.tolist()))
    ((800, 498), (800, 224), 8, ['p3_0', 'p4_0'])
    """
    from importlib.resources import files

    with files("phasejax").joinpath("_data/pbmc_cite.npz").open("rb") as opened, \
            np.load(opened, allow_pickle=False) as file:
        rna, protein, labels, batch = (file[name] for name in ("rna", "protein", "cell_type", "batch"))
    return PairedCells(log_normalise(rna)[:, rna.any(0)], centred_log_ratio(protein), labels, batch)


class BrownDwarfs(NamedTuple):
    """Near-infrared spectra and magnitudes of very-low-mass stars and brown dwarfs.

    Args:
        x: flux in bins of equal width in log wavelength, in units of the spectrum's mean, shape (n, 120).
        y: J, H and Ks of 2MASS in magnitudes, shape (n, 3); the same in all rows of a source.
        labels: spectral class, "M", "L" or "T", shape (n,).
        spectral_type: 6 for M6, 10 for L0, 24.5 for T4.5, shape (n,).
        source: number of the object that each row is a spectrum of, shape (n,).
        snr: median signal-to-noise ratio of each spectrum, shape (n,).
        wavelength: middle of each bin in micrometres, shape (120,).
        reference: bibcode of the paper that each spectrum is from, shape (n,).
    """

    x: Float[np.ndarray, "n bins"]
    y: Float[np.ndarray, "n bands"]
    labels: Shaped[np.ndarray, "n"]
    spectral_type: Float[np.ndarray, "n"]
    source: Int[np.ndarray, "n"]
    snr: Float[np.ndarray, "n"]
    wavelength: Float[np.ndarray, "bins"]
    reference: Shaped[np.ndarray, "n"]


def load_brown_dwarfs(least_snr: float | int = 20.0) -> BrownDwarfs:
    """Spectra from 0.86 to 2.40 micrometres and J, H, Ks of 1277 objects from M6 to T9, some of them observed twice.

    Published SpeX prism spectra (R near 120) of good quality, without copies under other names; spectral types are
    those of the literature. Magnitudes depend on the distance, which spectra in units of their mean do not know.

    Args:
        least_snr: spectra of a lower median signal-to-noise ratio are left out; the file has those from 10 on.

    Source: the SpeX Prism Library in splat 1.14 (MIT, Cool Star Lab; Burgasser and the SPLAT Development Team 2017,
        2017ASInC..14....7B); the licence lies beside the file. Work that uses the spectra should cite `reference` too.

    >>> stars = load_brown_dwarfs()
    >>> stars.x.shape, stars.y.shape, len(set(stars.source.tolist())), sorted(set(stars.labels.tolist()))
    ((1438, 120), (1438, 3), 1277, ['L', 'M', 'T'])
    """
    from importlib.resources import files

    least_snr = check_number("least_snr", least_snr, least=0)
    with files("phasejax").joinpath("_data/brown_dwarfs.npz").open("rb") as opened, \
            np.load(opened, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    kept = stored["snr"] >= least_snr
    if not kept.any():
        raise ValueError(f"least_snr: expected at most {stored['snr'].max():.0f}, got {least_snr:g}")
    numeric = stored["type"][kept].astype(np.float64)
    edges = stored["edges"].astype(np.float64)
    return BrownDwarfs(
        x=stored["flux"][kept] / stored["steps"], y=stored["magnitudes"][kept] / 1e3,
        labels=np.array(list("MLT"))[(numeric // 10).astype(int)], spectral_type=numeric,
        source=stored["source"][kept].astype(np.int64), snr=stored["snr"][kept].astype(np.float64),
        wavelength=np.sqrt(edges[1:] * edges[:-1]), reference=stored["references"][stored["reference"][kept]])


class EmojiArtists(NamedTuple):
    """The same emoji as two artists have drawn them.

    Args:
        x: drawings of Noto Emoji, red, green and blue from 0 to 1 in 32 x 32 pixels, shape (n, 3072).
        y: drawings of Twemoji, shape (n, 3072).
        labels: category of each emoji, shape (n,), such as "Food & Drink".
        subcategory: such as "food-fruit", shape (n,).
        names: such as "red apple", shape (n,).
        code: its code points in Unicode, such as "1F34E", shape (n,).
        group: the same number for a man, a woman and a person doing the same, shape (n,).
    """

    x: Float[np.ndarray, "n pixels"]
    y: Float[np.ndarray, "n pixels"]
    labels: Shaped[np.ndarray, "n"]
    subcategory: Shaped[np.ndarray, "n"]
    names: Shaped[np.ndarray, "n"]
    code: Shaped[np.ndarray, "n"]
    group: Int[np.ndarray, "n"]


def load_emoji_artists() -> EmojiArtists:
    """1906 emoji of 9 categories and 98 subcategories in the drawings of two artists, on white.

    Variants of skin tone are left out. `x.reshape(-1, 32, 32, 3)` are images; `phasejax.captions.load_emoji` has them
    with their names as captions.

    Source: Noto Emoji 2.048 (Apache-2.0) and Twemoji 16.0.1 (CC-BY 4.0) as packed in emoji-data 16.0.0 (MIT); the
        licences lie beside the file.

    >>> emoji = load_emoji_artists()
    >>> emoji.x.shape, emoji.y.shape, len(set(emoji.labels.tolist())), str(emoji.names[1000])
    ((1906, 3072), (1906, 3072), 9, 'clock face four oclock')
    """
    from importlib.resources import files

    with files("phasejax").joinpath("_data/emoji.npz").open("rb") as opened, \
            np.load(opened, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    views = [(stored[f"{artist}_palette"][stored[f"{artist}_pixels"]] / np.float32(255)).reshape(-1, 32 * 32 * 3)
             for artist in ("google", "twitter")]
    # Without joiners, signs of gender and direction; a person for a man or a woman, a child for a boy or a girl.
    person = {"1F468": "1F9D1", "1F469": "1F9D1", "1F466": "1F9D2", "1F467": "1F9D2"}
    neutral = [[person.get(part, part) for part in str(code).split("-")
                if part not in ("200D", "FE0F", "2640", "2642", "27A1")] for code in stored["code"]]
    return EmojiArtists(*views, labels=stored["category"], subcategory=stored["subcategory"], names=stored["name"],
                        code=stored["code"],
                        group=np.unique(["-".join(one) for one in neutral], return_inverse=True)[1])
