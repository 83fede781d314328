"""Pairs of views on which `python -m benchmarks decision` asks which objective trained networks prefer.

Every pair is known by its name and belongs to a kind: photographs and tables cut in two, images of the same digit in
front of shared backgrounds, stereo pairs seen through random convolutions, simulations that the spiked model does not
describe, and two collections that are read from a folder:

    pip download --no-deps scmidas==0.3.0
    unzip -p scmidas-0.3.0-*.whl scmidas/data/quickstart_pbmc_mosaic.h5mu > FOLDER/quickstart_pbmc_mosaic.h5mu
    for artist in google twitter; do
        npm pack emoji-datasource-$artist@16.0.0
        tar xzf emoji-datasource-$artist-16.0.0.tgz package/img/$artist/sheets/32.png package/emoji.json
        mv package/img/$artist/sheets/32.png FOLDER/$artist.png; mv package/emoji.json FOLDER/emoji.json
    done

The variable PHASEJAX_PAIRS names the folder. Without it those pairs are left out. At most 2000 rows and 80 columns a
view: wider views are replaced by their first principal components. Columns of tables, whose units differ, have unit
variance; pixels and components keep their scale, since prediction depends on it.

One half of the pairs of every kind serves to choose the constants of the diagnosis, the other to report on it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from benchmarks.decision_files import blood_cells, emoji

FOLDER = "PHASEJAX_PAIRS"
ROWS, COLUMNS = 2000, 80


class Pair(NamedTuple):
    """Two views of the same rows, with labels.

    Args:
        x, y: the views, shapes (n, d_x) and (n, d_y).
        labels: classes 0, 1, ... of shape (n,), or real values.
        kind: "class" or "real".
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    kind: Literal["class", "real"]


@dataclass(frozen=True)
class Source:
    """Where a pair comes from.

    Args:
        group: kind of pair, over which both halves are spread.
        make: returns the pair.
        files: files that it reads in the folder of data.
        population: returns more rows of the same simulation than `make`: called with their number.
    """

    group: str
    make: Callable[[], Pair]
    files: tuple[str, ...] = ()
    population: Callable[[int], Pair] | None = None


def available() -> dict[str, Source]:
    """The pairs whose files are there, by name."""
    folder = os.environ.get(FOLDER)
    return {name: source for name, source in SOURCES.items()
            if not source.files or (folder and all(Path(folder, file).is_file() for file in source.files))}


def missing() -> list[str]:
    """Names of the pairs whose files are not there."""
    return [name for name in SOURCES if name not in available()]


def half(name: str) -> Literal["choose", "report"]:
    """The half of the pairs to which one belongs: every second of its kind in the order of `SOURCES`."""
    group = [other for other, source in SOURCES.items() if source.group == SOURCES[name].group]
    return "report" if group.index(name) % 2 else "choose"


@cache
def load(name: str) -> Pair:
    """A pair by its name: rows in random order, at most `ROWS`; no constant column, at most `COLUMNS`.

    Classes with fewer than 16 rows are left out.

    Args:
        name: in `SOURCES`.
    """
    x, y, labels, kind = SOURCES[name].make()
    if kind == "class":
        values, counts = np.unique(labels, return_counts=True)
        large = np.isin(labels, values[counts >= 16])
        x, y, labels = x[large], y[large], labels[large]
    rows = np.random.default_rng(0).permutation(len(x))[:ROWS]
    labels = labels[rows]
    labels = np.unique(labels, return_inverse=True)[1] if kind == "class" else (labels - labels.mean()) / labels.std()
    return Pair(_columns(x[rows]), _columns(y[rows]), labels, kind)


def _columns(view):
    """Float64, without constant columns; principal components where there are more than `COLUMNS`."""
    view = np.asarray(view, np.float64).reshape(len(view), -1)
    view = view[:, np.ptp(view, 0) > 0]
    return view if view.shape[1] <= COLUMNS else _components(view, 64)


def _components(view, count):
    centred = view - view.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(view))
    kept = min(count, int(np.sum(values > 1e-8 * values[-1])))
    # The sign of an eigenvector is arbitrary: its largest entry is positive.
    vectors = vectors[:, ::-1][:, :kept]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(kept)])
    return centred @ vectors


def _standardised(view):
    return (view - view.mean(0)) / view.std(0)


# Tables and photographs of scikit-learn.

def _digits(cut: str, label: str) -> Pair:
    from sklearn.datasets import load_digits

    digits = cast(Any, load_digits())
    images, target = digits.images, digits.target
    match cut:
        case "sides":
            x, y = images[:, :, :4], images[:, :, 4:]
        case "levels":
            x, y = images[:, :4], images[:, 4:]
        case _:  # odd and even columns
            x, y = images[:, :, ::2], images[:, :, 1::2]
    labels = {"digit": target, "parity": target % 2, "half": target >= 5}[label].astype(int)
    return Pair(x, y, labels, "class")


def _table(name: str, left: slice, right: slice) -> Pair:
    from sklearn import datasets

    table = getattr(datasets, f"load_{name}")()
    return Pair(_standardised(table.data[:, left]), _standardised(table.data[:, right]), table.target,
                "real" if name == "diabetes" else "class")


def _patches(cut: str, label: str) -> Pair:
    """Grey patches of 12 x 12 pixels of two photographs, at half their resolution, cut in two."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(1)
    photographs = [np.mean(image, 2)[: 2 * (image.shape[0] // 2)].reshape(image.shape[0] // 2, 2, -1, 2).mean((1, 3))
                   for image in cast(Any, load_sample_images()).images]
    picture = rng.integers(0, 2, ROWS)
    height, width = np.min([image.shape for image in photographs], axis=0) - 12
    top, left = rng.integers(0, height, ROWS), rng.integers(0, width, ROWS)
    patches = np.stack([photographs[p][t:t + 12, c:c + 12] for p, t, c in zip(picture, top, left, strict=True)]) / 255
    x, y = (patches[:, :, :6], patches[:, :, 6:]) if cut == "sides" else (patches[:, :6], patches[:, 6:])
    return Pair(x, y, picture, "class") if label == "picture" else Pair(x, y, top.astype(float), "real")


# Two images of the same digit, each in front of a background of 16 patterns.

def _backgrounds(strength_x: float, strength_y: float, correlation: float) -> Pair:
    """Images of 8 x 8 pixels with values 0 to 1; a background's amplitudes correlate with those of the other view.

    The patterns are the directions in which the digits vary least, so that the digit is noise to no background.
    """
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(2)
    digits = cast(Any, load_digits())
    images, target = digits.data / 16, digits.target
    partner = np.empty(len(images), int)
    for digit in range(10):
        members = np.flatnonzero(target == digit)
        partner[members] = np.roll(rng.permutation(members), 1)[np.argsort(rng.permutation(members))]
    patterns = np.linalg.eigh(np.cov(images.T))[1][:, :16]
    common = rng.normal(size=(2, len(images), 16))
    other = correlation * common[0] + np.sqrt(1 - correlation**2) * common[1]
    x = images + strength_x * common[0] @ patterns.T + 0.05 * rng.normal(size=images.shape)
    y = images[partner] + strength_y * other @ patterns.T + 0.05 * rng.normal(size=images.shape)
    return Pair(x, y, target, "class")


# Stereo pairs of shapes.

def _stereo(jitter: float, noise: float) -> Pair:
    """Means over 4 x 4 blocks of 32 random filters with ReLU, of 2000 stereo pairs of three shapes; 64 components.

    The filters, 7 x 7 pixels with zero mean, stand for an encoder that was never trained.
    """
    import jax

    from phasejax.deep.data import draw, stereo_dsprites

    views = draw(stereo_dsprites(), jax.random.split(jax.random.key(3), ROWS), jitter, noise)
    filters = jax.random.normal(jax.random.key(4), (7, 7, 1, 32))
    filters = filters - filters.mean((0, 1))

    @jax.jit
    def features(images):
        found = jax.nn.relu(jax.lax.conv_general_dilated(
            images, filters, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
        return found.reshape(len(images), 4, 8, 4, 8, 32).mean((2, 4)).reshape(len(images), -1)

    x, y = (np.concatenate([features(images[start:start + 200]) for start in range(0, ROWS, 200)])
            for images in (views.x, views.y))
    return Pair(x, y, np.asarray(views.label), "class")


# Simulations.

def _simulated(n: int = 1500, *, seed: int, d_x: int = 40, d_y: int = 40, kappa: tuple[float, ...] = (2.0, 1.5, 1.2),
               gamma: float = 0.5, spread_x: float = 1.0, spread_y: float = 1.0, decay: float = 0.0, nu: float = 0.5,
               correlated: int | None = None, nu_decay: float = 1.0, classes: int = 0, leak: float = 0.0,
               view: str = "linear", tails: float = np.inf) -> Pair:
    """Signal and nuisance of the spiked model, but for what the arguments change.

    Args:
        n: rows.
        seed: of the model; rows beyond the first 1500 continue its random numbers.
        d_x, d_y: columns.
        kappa: signal strengths.
        gamma: noise variance on the signal coordinates.
        spread_x, spread_y: variance of the strongest nuisance coordinate.
        decay: exponent of a power law of the nuisance variances over the coordinates.
        nu: correlation of the first nuisance coordinate.
        correlated: correlated nuisance coordinates; all when left out.
        nu_decay: factor from one correlation to the next.
        classes: classes of the label, from the octant or angle of the signal; 0 for a real label.
        leak: weight of the first nuisance coordinate of x in the label.
        view: "linear", "tanh" or "relu", applied to random mixtures of the coordinates.
        tails: degrees of freedom of a t distribution whose scale all coordinates of a row share.
    """
    fixed, k = np.random.default_rng(seed), len(kappa)
    bases = [np.linalg.qr(fixed.normal(size=(d, d)))[0] for d in (d_x, d_y)]
    directions = fixed.normal(size=(k, max(classes, 1)))
    rng = np.random.default_rng([seed, n])
    shared = min(d_x, d_y) - k
    nus = np.where(np.arange(shared) < (shared if correlated is None else correlated),
                   nu * nu_decay ** np.arange(shared), 0)
    s = rng.normal(size=(n, k))
    u, v = rng.normal(size=(n, d_x - k)), rng.normal(size=(n, d_y - k))
    v[:, :shared] = nus * u[:, :shared] + np.sqrt(1 - nus**2) * v[:, :shared]
    scores = s @ directions
    labels = scores.argmax(1) if classes else scores[:, 0] / np.linalg.norm(directions) + leak * u[:, 0]
    labels = labels if classes else labels + 0.3 * rng.normal(size=n)
    scale = np.ones((n, 1)) if np.isinf(tails) else np.sqrt(tails / rng.chisquare(tails, (n, 1)))
    views = []
    for nuisance, spread, basis in ((u, spread_x, bases[0]), (v, spread_y, bases[1])):
        powers = spread * (1 + np.arange(nuisance.shape[1])) ** -decay
        signal = s * kappa + np.sqrt(gamma) * rng.normal(size=(n, k))
        mixed = scale * np.hstack([signal, np.sqrt(powers) * nuisance]) @ basis.T
        views.append({"linear": mixed, "tanh": np.tanh(mixed), "relu": np.maximum(mixed, 0)}[view])
    return Pair(views[0], views[1], labels, "class" if classes else "real")


_SIMULATIONS: dict[str, dict[str, Any]] = {
    "power law": dict(decay=1.0),
    "power law, strong in y": dict(decay=1.0, spread_y=30.0, nu=0.4),
    "power law, classes": dict(decay=0.7, nu=0.9, classes=4),
    "power law, classes, strong in x": dict(decay=1.0, spread_x=20.0, nu=0.6, classes=3),
    "few correlated": dict(correlated=8, nu=0.97, nu_decay=0.95),
    "few correlated, strong in y": dict(correlated=6, nu=0.95, nu_decay=0.85, spread_y=10.0),
    "few correlated, classes": dict(correlated=12, nu=0.95, nu_decay=0.9, classes=5),
    "few correlated, weak in y": dict(correlated=16, nu=0.99, nu_decay=0.99, spread_y=0.1, classes=3),
    "classes": dict(nu=0.6, classes=6),
    "classes, strong in y": dict(nu=0.4, spread_y=15.0, classes=4),
    "tanh": dict(view="tanh", nu=0.5),
    "tanh, strong": dict(view="tanh", nu=0.8, spread_x=3.0, spread_y=6.0, classes=3),
    "relu": dict(view="relu", nu=0.4),
    "relu, strong in y": dict(view="relu", nu=0.5, spread_y=10.0, classes=4),
    "nuisance in the label": dict(leak=0.7, nu=0.8, spread_y=4.0),
    "nuisance in the label, strong": dict(leak=1.0, nu=0.9, correlated=5, spread_x=8.0, spread_y=0.2),
    "80 and 15 columns": dict(d_x=80, d_y=15, nu=0.7),
    "15 and 80 columns, strong in y": dict(d_x=15, d_y=80, nu=0.5, spread_y=8.0, classes=4),
    "heavy tails": dict(tails=5.0, nu=0.6),
    "heavy tails, strong in y": dict(tails=5.0, nu=0.5, spread_y=12.0, classes=3),
}


# Collections read from a folder.

def _cells() -> Pair:
    rna, protein, types = blood_cells(Path(os.environ[FOLDER]))
    return Pair(_components(rna, 50), _components(protein, 50), types, "class")


def _emoji(label: str, cut: str) -> Pair:
    return Pair(*emoji(Path(os.environ[FOLDER]), label, cut), "class")


def _sources() -> dict[str, Source]:
    found = {}
    for label in ("digit", "parity", "half"):
        for cut in ("sides", "levels", "columns"):
            found[f"digits {cut}, {label}"] = Source("digits", lambda cut=cut, label=label: _digits(cut, label))
    for name, table, left, right in (
            ("breast cancer, means and worsts", "breast_cancer", slice(0, 10), slice(20, 30)),
            ("breast cancer, means and errors", "breast_cancer", slice(0, 10), slice(10, 20)),
            ("wine, first and last", "wine", slice(0, 6), slice(6, 13)),
            ("wine, even and odd", "wine", slice(0, 13, 2), slice(1, 13, 2)),
            ("diabetes, body and blood", "diabetes", slice(0, 4), slice(4, 10)),
            ("diabetes, even and odd", "diabetes", slice(0, 10, 2), slice(1, 10, 2))):
        found[name] = Source("tables", lambda args=(table, left, right): _table(*args))
    for label, cut in (("picture", "sides"), ("picture", "levels"), ("height", "levels"), ("height", "sides")):
        found[f"patches {cut}, {label}"] = Source("patches", lambda cut=cut, label=label: _patches(cut, label))
    for regime, strengths in (("both", (0.2, 0.2, 0.3)), ("CA only", (1.0, 2.0, 0.4)), ("CP only", (0.1, 0.1, 0.98)),
                              ("neither", (1.0, 2.0, 0.95))):
        found[f"backgrounds, {regime}"] = Source("backgrounds", lambda given=strengths: _backgrounds(*given))
    for jitter, noise in ((0.02, 0.2), (0.02, 0.9), (0.3, 0.2), (0.3, 0.9)):
        found[f"stereo, jitter {jitter}, noise {noise}"] = Source("stereo",
                                                                  lambda given=(jitter, noise): _stereo(*given))
    for seed, (name, changes) in enumerate(_SIMULATIONS.items()):
        found[f"simulated, {name}"] = Source(
            "simulated", lambda seed=seed, changes=changes: _simulated(seed=100 + seed, **changes),
            population=lambda n, seed=seed, changes=changes: _simulated(n, seed=100 + seed, **changes))
    found["RNA and protein"] = Source("folder", _cells, ("quickstart_pbmc_mosaic.h5mu",))
    sheets = ("google.png", "twitter.png", "emoji.json")
    for label, cut in (("category", "artists"), ("face", "artists"), ("category", "sides")):
        found[f"emoji {cut}, {label}"] = Source("folder", lambda cut=cut, label=label: _emoji(label, cut), sheets)
    return found


SOURCES: dict[str, Source] = _sources()
