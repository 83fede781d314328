"""Command lines over sound, odd and hostile files, with options that fit and options that do not."""

from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz import hostile_files
from tests.fuzz.hostile_baselines import odd_baseline
from tests.fuzz.hostile_files import KINDS
from tests.fuzz.sound_files import ESCAPE, HOSTILE_NAMES, views

_WHOLE = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1000000000000",
    "18446744073709551616",
    "-9223372036854775809",
    "1.5",
    "a",
    "",
    ESCAPE,
    "nan",
    "1" * 5000,
    "٣",
)
_REAL = ("0.5", "0.9", "0", "1", "-1", "nan", "inf", "1e400", "1e-400", "a", "", ESCAPE)
_PLACES = (
    "out.json",
    "none/out.json",
    "/dev/null",
    "/dev/full",
    ".",
    "X.npy",
    ESCAPE + ".json",
    "n" * 300 + ".json",
    "",
    "L.npy",
)
_OPTIONS = {
    "--k": _WHOLE,
    "--pca": _WHOLE,
    "--seed": _WHOLE,
    "--confidence": _REAL,
    "--level": _REAL,
    "--bandwidth": _REAL,
    "--components": _WHOLE,
    "--label-kind": ("class", "real", "auto", "other", ESCAPE),
    "--missing": ("drop", "mean", "error", "other"),
    "--id": ("id", "none", *HOSTILE_NAMES),
    "--method": ("spectral", "other"),
    "--distance": ("euclidean", "other"),
    "--metrics": ("cka_linear", "none", ESCAPE, ""),
    "--json": _PLACES,
    "--figure": ("f.png", "f.xyz", "none/f.png"),
    "--report": ("r.html", "none/r.html", "/dev/full"),
    "--by-position": (None,),
    "--flatten": (None,),
    "--no-fit": (None,),
    "--nonsense": (None, ESCAPE),
    "--labelled": ("rows.npy", "X.npy", "none"),
    "--groups": ("L.npy", "none"),
    "--permutations": (*_WHOLE[:4], "1000000000000", "a"),
    "--resamples": ("0", "1", "-1", "a"),
    "--confounders": ("L.npy", "rows.npy", "X.npy", "none"),
    "--nuisance": ("L.npy", "X.npy", "none"),
    "--split": ("L.npy", "X.npy", "none"),
    "--objectives": ("CA", "joint", "supervised", "", ESCAPE),
    "--bottleneck": _WHOLE,
    "--widths": (*_WHOLE[:6], "a", ""),
    "--norm": ("layer", "none", "other"),
    "--dropout": _REAL,
    "--learning-rate": _REAL,
    "--alpha": _REAL,
    "--temperature": _REAL,
    "--seeds": ("0", "1", "-1", "a", "1.5"),
    "--probes": ("ridge", "logistic", "other", ""),
    "--heads": ("X.npy", "none.npz", ESCAPE),
    "--save": ("h.npz", "h.pt", "none/h.npz", "/dev/full"),
    "--kappa": _REAL,
    "--nu": _REAL,
    "--gamma": _REAL,
    "--nuisance-y": _REAL,
    "--dim-x": _WHOLE,
    "--dim-y": _WHOLE,
    "--probability": _REAL,
    "--error": _REAL,
    "--label-r2": _REAL,
    "--pilot": ("X.npy", "none.json", ESCAPE),
    "--draws": ("0", "1", "-1", "a", "1000000000000"),
}
# A model whose plan takes a second, and heads that take a few.
_MODEL = ("--kappa", "1.5", "--nu", "0.4", "--dim-x", "6")
_SMALL_HEADS = {"--objectives": "CP x->y", "--seeds": "1", "--bottleneck": "2", "--widths": "4", "--epochs": "2"}
_SLOW = (hostile_files.zip_bomb, hostile_files.wide_or_long_text)
_OF = {
    "inspect": (
        "--id",
        "--label-kind",
        "--missing",
        "--by-position",
        "--flatten",
        "--json",
        "--labelled",
        "--groups",
        "--nonsense",
    ),
    "diagnose": (
        "--k",
        "--pca",
        "--seed",
        "--confidence",
        "--label-kind",
        "--id",
        "--method",
        "--json",
        "--figure",
        "--report",
        "--by-position",
        "--labelled",
        "--groups",
        "--missing",
        "--confounders",
    ),
    "heads": (
        "--bottleneck",
        "--widths",
        "--norm",
        "--dropout",
        "--learning-rate",
        "--alpha",
        "--temperature",
        "--seeds",
        "--probes",
        "--heads",
        "--save",
        "--objectives",
        "--split",
        "--nuisance",
        "--confounders",
        "--groups",
        "--seed",
        "--confidence",
        "--label-kind",
        "--id",
        "--json",
        "--figure",
        "--by-position",
        "--missing",
    ),
    "plan": (
        "--kappa",
        "--nu",
        "--k",
        "--gamma",
        "--nuisance-y",
        "--dim-x",
        "--dim-y",
        "--probability",
        "--error",
        "--label-r2",
        "--pilot",
        "--draws",
        "--json",
        "--figure",
    ),
    "similarity": (
        "--k",
        "--pca",
        "--seed",
        "--confidence",
        "--bandwidth",
        "--components",
        "--distance",
        "--metrics",
        "--json",
        "--permutations",
        "--resamples",
        "--groups",
    ),
    "monitor": ("--level", "--seed", "--label-kind", "--id", "--json", "--labelled", "--groups", "--missing"),
}


def command_line(rng: Random, folder: Path, quick: bool = False) -> list[str]:
    """The arguments of one call of `phasejax`, whose files are in the folder, which is the current one.

    Args:
        rng: source of all choices.
        folder: an empty folder.
        quick: whether only what ends within a second is chosen.
    """
    x, y, labels = views()
    for name, values in (("X.npy", x), ("Y.npy", y), ("L.npy", labels), ("rows.npy", np.arange(20))):
        np.save(folder / name, values)
    command = rng.choices(
        ("inspect", "monitor", "similarity", "sweep", "diagnose", "check", "other", "heads", "plan"),
        (8, 0, 0, 2, 0, 1, 1, 0, 0) if quick else (8, 3, 2, 4, 2, 0.3, 0.7, 2, 1),
    )[0]
    match command:
        case "sweep":
            return ["sweep", *_sweep(rng), *["--model", "none"] * quick]
        case "check":
            return ["check", "--seed", rng.choice(_WHOLE[4:-1])]
        case "other":
            return [
                rng.choice(("inspect", "--version", "--help", "", ESCAPE, "diagnos", "sweep", *HOSTILE_NAMES))
                for _ in range(rng.choice((0, 1, 2, 5)))
            ]
    if command == "plan":
        return ["plan", *_MODEL * rng.randrange(2), *_options(rng, command, rng.randrange(1, 4))]
    place = rng.randrange(4)
    files = [
        hostile(rng, folder, quick) if place == number else sound
        for number, sound in enumerate(("X.npy", "Y.npy", "L.npy"))
    ]
    args = [command, *files[:2]]
    if command != "similarity":
        args += ["--labels", files[2]]
    if command == "monitor":
        args.insert(1, odd_baseline(rng, folder))
    args += _options(rng, command, rng.choice((0, 0, 1, 2)) if place < 3 else 2)
    if command == "heads":
        args += [part for name, value in _SMALL_HEADS.items() if name not in args for part in (name, value)]
        args.append("--no-diagnosis")
    if command == "similarity":
        args += ["--permutations", "5", "--resamples", "2"] * (
            "--permutations" not in args and "--resamples" not in args
        )
    return args


def _options(rng, command, count):
    """Some of a command's options, with values that fit or do not."""
    args = []
    for _ in range(count):
        option = rng.choice(_OF[command])
        value = rng.choice(_OPTIONS[option])
        args += [option] if value is None else [option, value]
    return args


def hostile(rng: Random, folder: Path, quick: bool = False) -> str:
    """One of the kinds of hostile files, or of those that are made and read within a second."""
    kinds = [kind for kind in KINDS if not (quick and kind in _SLOW)]
    return rng.choice((*kinds, hostile_files.sound_but_odd, hostile_files.odd_text))(rng, folder)


def _sweep(rng):
    axes = [
        rng.choice(
            (
                "kappa=0:3:3",
                "nu=0:1:2",
                "kappa=0:3:1000000000000",
                "kappa=0:3:1000000",
                "nu=0:1:1000000",
                "kappa=nan,1",
                "kappa=1e400",
                "kappa=a",
                "n=10,20",
                "n=0",
                "n=1.5",
                "n=1000000000000",
                "none=1,2",
                "lam=0,1",
                "kappa",
                "=1",
                "kappa=",
                "kappa=0:1",
                "kappa=0:1:-1",
                "kappa=0:1:0",
                "kappa=0:1:1.5",
                "k=2,3",
                "d=1000000000",
                "d=10,20",
                "kappa=" + ESCAPE,
                ESCAPE + "=1",
                "kappa=-1,1",
                "nu=2",
                "seed=1,2",
                "kappa=inf",
                "kappa=1_0",
                "quantity=1,2",
                "kappa=1," * 3 + "1",
            )
        )
        for _ in range(rng.choice((1, 1, 2)))
    ]
    args = [
        "--axes",
        *axes,
        "--quantities",
        *[
            rng.choice(("regime", "delta_ca", "delta_cp", "none", "", ESCAPE, "error_ca"))
            for _ in range(rng.choice((1, 1, 2)))
        ],
    ]
    if rng.random() < 0.7:
        args += [
            "--fixed",
            *(
                ["k=2", "d=4", "nuisance_y=2"]
                if rng.random() < 0.5
                else [
                    rng.choice(
                        (
                            "k=2",
                            "d=4",
                            "k=1.5",
                            "d=a",
                            "k=1000000000000",
                            "none=3",
                            "k",
                            "nuisance_y=nan",
                            "n=50",
                            "nu=0.5",
                            "kappa=1",
                            "lam=-1",
                            "d=1000000",
                            ESCAPE + "=1",
                        )
                    )
                    for _ in range(3)
                ]
            ),
        ]
    for option, values in (
        ("--n", ("50", *_WHOLE)),
        ("--seeds", ("2", *_WHOLE)),
        ("--seed", _WHOLE),
        ("--model", ("geometric", "none")),
        ("--memory", ("1KB", "0", "-1GB", "1e400GB", "aGB", "", "1" * 400, "1GB", ESCAPE)),
        ("--store", ("run.zarr", "X.npy", "none/run.zarr", "", "/dev/null", ESCAPE + ".zarr", "/proc/x.zarr")),
        ("--out", ("run.nc", "none/run.nc", "X.npy/run.nc", "/dev/full", ESCAPE + ".nc", "", ".")),
    ):
        if rng.random() < (0.5 if option in ("--store", "--out") else 0.15):
            args += [option, rng.choice(values)]
    if rng.random() < 0.05:
        args += [
            "--distributed",
            "--coordinator",
            rng.choice(("", "nowhere", ":", "127.0.0.1:99999", "127.0.0.1", ESCAPE, "a:b", "127.0.0.1:-1", "[::1")),
            "--processes",
            rng.choice(("1", "0", "-1", "2")),
            "--process-id",
            rng.choice(("0", "5", "-1")),
        ]
    return args
