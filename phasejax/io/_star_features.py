"""Stars seen by two instruments: spectra of LAMOST and light curves of Kepler or TESS, as features of frozen encoders.

The layout is that in which the features of K26 are published. A folder has for each part of the split (train, val,
test) the features z_lamost_PART.npy and z_kepler_PART.npy or z_tess_PART.npy, what is known of the stars in
meta_PART.parquet, and the same parameters as numbers in labels_PART.npy. Ages and binarity are in tables of their own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.terminal import listed
from phasejax._core.validation import check_choice, check_path
from phasejax.io._arrays import check_finite, load_array
from phasejax.io._paired_features import PARTS, PairedFeatures
from phasejax.io._star_catalogues import (
    AGE,
    BINARITY,
    age_of_stars,
    as_numbers,
    binarity_of_stars,
    find_catalogue,
    kid_of_gaia,
)
from phasejax.io._star_identifiers import same_star, star_ids
from phasejax.io._table import import_reader

INSTRUMENTS = {"kepler": "Kepler", "tess": "TESS"}
_SUFFIXES = dict(zip(PARTS, ("train", "val", "test"), strict=True))
# The columns of labels_PART.npy, in order.
PARAMETERS = ("teff", "logg", "feh", "prot")
# Identifiers of a star, and that of a spectrum.
_STAR_IDS, _SPECTRUM_ID = ("gaia_source_id", "KID", "TIC"), "lamost_obsid"
# Relative difference at which a parameter in float32 counts as the same as in float64.
_SAME = 1e-5


@checked
def read_star_features(folder: str | Path, instrument: str | None = None, *, ages: str | Path | None = None,
                       binarity: str | Path | None = None, catalogue: str | Path | None = None,
                       overlap: str = "error") -> PairedFeatures:
    """Read the features of stars in the published layout, with every parameter, age and binarity that is known.

    Files: z_lamost_PART.npy and z_kepler_PART.npy or z_tess_PART.npy, shape (n, d), for the parts train, val and test;
    meta_PART.parquet with n rows and the columns gaia_source_id, KID, TIC, lamost_obsid, ra, dec, teff, logg, feh and
    prot, as far as there are any beside gaia_source_id; optionally labels_PART.npy, shape (n, 4), with teff, logg, feh
    and prot once more, which must agree. Rows are of one star, and so in one group, where they share an identifier.

    Args:
        folder: of these files.
        instrument: "kepler" or "tess"; the only one that the folder has when left out.
        ages: table with the columns KID and final_age, and perhaps age_error, without which an age does not count;
            when left out, the only such .csv of the folder or of the one above, if there is any.
        binarity: likewise with KID and binarity_class: class 3 is left out, and classes above 0 are binaries (1).
        catalogue: Parquet file or .csv with gaia_source_id and KID, for rows that have no KID in meta.
        overlap: what to do with a star in more than one part: "error", or "drop", which leaves it out of training
            where it is tested or validated on, and out of validation where it is tested on.

    Returns:
        LAMOST as x and the light curves as y; the targets teff (K), logg (dex), feh (dex), prot (days), age and
        binarity, as far as some row has a value.

    Raises:
        ValueError: in one line: a missing file, features of another length than their rows in meta or of another width
            than in another part, a row that is not finite, a star or spectrum in two parts, a table that gives a
            star two values, or names none of these.

    Source: K26, section 4, astrophysical data; the layout of its published features.
    """
    folder = Path(check_path("folder", folder))
    check_choice("overlap", overlap, ("error", "drop"))
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of features, got {'a file' if folder.exists() else 'none'}")
    instrument = _instrument(folder, instrument)
    views = {name: _views(folder, name) for name in ("lamost", instrument)}
    meta = _meta(folder, views, instrument)
    part = np.repeat(PARTS, [len(meta[part]) for part in PARTS])
    ids, notes = _ids(folder, meta)
    if catalogue is not None:
        of_gaia = kid_of_gaia(Path(catalogue), ids[_STAR_IDS[0]])
        own = ids.get("KID", np.full(len(part), ""))
        ids["KID"] = np.where(own == "", of_gaia, own)
        notes.append(f"KID: {np.sum((own == '') & (of_gaia != ''))} rows have theirs from {Path(catalogue).name}")
    kept = _kept(folder, ids, part, overlap, notes)
    targets = _parameters(folder, meta, notes)
    kid = ids.get("KID")
    for name, given, column, of_stars in (("age", ages, AGE, age_of_stars),
                                          ("binarity", binarity, BINARITY, binarity_of_stars)):
        path = find_catalogue((folder, folder.parent), column) if given is None else Path(given)
        if path is None:
            notes.append(f"no {name}: {folder.name} and the folder above have no table of KID and {column}")
        elif kid is None:
            raise ValueError(f"{folder / 'meta_train.parquet'}: expected a column KID, to join {path.name} with, got "
                             "none (catalogue= joins by gaia_source_id)")
        else:
            targets[name] = of_stars(path, kid)
            notes.append(f"{name}: {np.sum(~np.isnan(targets[name]))} of {len(part)} rows, from {path.name}")
    found = PairedFeatures(
        x=np.concatenate([views["lamost"][one] for one in PARTS]),
        y=np.concatenate([views[instrument][one] for one in PARTS]), names=("LAMOST", INSTRUMENTS[instrument]),
        targets=targets, nuisance={}, label_kind={name: "class" if name == "binarity" else "real" for name in targets},
        groups=same_star([ids[name] for name in _STAR_IDS if name in ids], len(part)), split=part, ids=ids,
        notes=tuple(notes))
    return found if kept.all() else found.take(np.flatnonzero(kept))


def _instrument(folder, instrument):
    if instrument is not None:
        check_choice("instrument", instrument, INSTRUMENTS)
        return instrument
    found = [name for name in INSTRUMENTS if any(folder.glob(f"z_{name}_*.npy"))]
    if len(found) != 1:
        raise ValueError(f"{folder}: expected z_kepler_train.npy or z_tess_train.npy, got "
                         f"{'both; say which instrument' if found else 'neither'}")
    return found[0]


def _views(folder, name):
    """The features of one instrument by part, of one width and finite."""
    found: dict[str, np.ndarray] = {}
    for part, suffix in _SUFFIXES.items():
        path = folder / f"z_{name}_{suffix}.npy"
        values = load_array(path)
        if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
            raise ValueError(f"{path}: expected numbers of shape (n, d), got {values.dtype} of shape {values.shape}")
        check_finite(str(path), values)
        if found and values.shape[1] != found["train"].shape[1]:
            raise ValueError(f"{path}: expected {found['train'].shape[1]} columns as in z_{name}_train.npy, got "
                             f"{values.shape[1]}")
        found[part] = values.astype(np.float32) if values.dtype != np.float64 else values
    return found


def _meta(folder, views, instrument):
    """What is known of the rows by part, as many as there are features."""
    found: dict[str, pd.DataFrame] = {}
    for part, suffix in _SUFFIXES.items():
        path = folder / f"meta_{suffix}.parquet"
        check_regular_file(path)
        parquet = import_reader("pyarrow.parquet", "parquet", str(path))
        with reading(str(path), "a complete Parquet file"):
            frame = parquet.read_table(path).to_pandas(integer_object_nulls=True)
            found[part] = frame.reset_index(drop=frame.index.name is None or frame.index.name in frame)
        if _STAR_IDS[0] not in found[part]:
            raise ValueError(f"{path}: expected a column {_STAR_IDS[0]}, got {listed(found[part].columns)}")
        for name in ("lamost", instrument):
            rows = len(views[name][part])
            if rows != len(found[part]):
                raise ValueError(f"{folder / f'z_{name}_{suffix}.npy'}: expected {len(found[part])} rows as in "
                                 f"{path.name}, got {rows}")
    for part, suffix in _SUFFIXES.items():
        for name in (*_STAR_IDS, _SPECTRUM_ID, *PARAMETERS):
            with_it = [_SUFFIXES[one] for one in PARTS if name in found[one]]
            if with_it and name not in found[part]:
                raise ValueError(f"{folder / f'meta_{suffix}.parquet'}: expected a column {name} as in "
                                 f"meta_{with_it[0]}.parquet, got {listed(found[part].columns)}")
    return found


def _ids(folder, meta) -> tuple[dict[str, np.ndarray], list[str]]:
    """Identifiers of all rows by catalogue, and what to say of them."""
    ids, notes = {}, []
    for name in (*_STAR_IDS, _SPECTRUM_ID):
        if name in meta["train"]:
            found, lost = star_ids([meta[part][name] for part in PARTS],
                                   [f"{folder / f'meta_{suffix}.parquet'}: {name}" for suffix in _SUFFIXES.values()])
            ids[name] = np.concatenate(found)
            if lost:
                notes.append(f"{name}: stored as floats, which have lost the last digits; compared without these")
    unknown = ~np.logical_or.reduce([ids[name] != "" for name in _STAR_IDS if name in ids])
    if unknown.any():
        notes.append(f"{unknown.sum()} rows have no identifier of a star, and count as stars of their own")
    return ids, notes


def _kept(folder, ids, part, overlap, notes):
    """Which rows stay where none of their stars, and no spectrum, may be in two parts."""
    place = np.array([PARTS.index(one) for one in part])
    shared = {name: values for name, values in ids.items()}
    shared["star"] = same_star([ids[name] for name in _STAR_IDS if name in ids], len(part)).astype(str)
    kept = np.ones(len(part), bool)
    for name, values in shared.items():
        rows = np.flatnonzero(values != "")
        _, inverse = np.unique(values[rows], return_inverse=True)
        inverse = inverse.reshape(-1)
        first, last = np.full(inverse.max(initial=-1) + 1, len(PARTS)), np.full(inverse.max(initial=-1) + 1, -1)
        np.minimum.at(first, inverse, place[rows])
        np.maximum.at(last, inverse, place[rows])
        both = np.flatnonzero(first < last)
        if both.size and overlap == "error":
            at = rows[inverse == both[0]][0]
            what = f"{name} {values[at]}" if name != "star" else f"the star of gaia_source_id {ids[_STAR_IDS[0]][at]}"
            raise ValueError(f"{folder}: expected every star in one part of the split, got {what} in both "
                             f"{PARTS[first[both[0]]]} and {PARTS[last[both[0]]]}, {both.size} such in all "
                             "(overlap='drop' trains without them)")
        kept[rows[place[rows] < last[inverse]]] = False
    if not kept.all():
        notes.append(f"{np.sum(~kept)} rows are left out, whose stars are in a later part of the split too")
    return kept


def _parameters(folder, meta, notes) -> dict[str, np.ndarray]:
    """teff, logg, feh and prot of all rows, from meta or else from labels, that must agree where both have them."""
    labels = _labels(folder, meta)
    found: dict[str, np.ndarray] = {}
    for column, name in enumerate(PARAMETERS):
        of_parts: list[Any] = []
        for part, suffix in _SUFFIXES.items():
            values = None if labels is None else labels[part][:, column]
            if name in meta[part]:
                path = folder / f"meta_{suffix}.parquet"
                own = as_numbers(meta[part][name], f"{path}: expected finite numbers in {name}")
                if values is not None and not (same := np.isclose(own, values, rtol=_SAME, atol=0, equal_nan=True)
                                               ).all():
                    raise ValueError(f"{folder / f'labels_{suffix}.npy'}: expected {name} in column {column} as in "
                                     f"{path.name}, got {values[~same][0]:g} for {own[~same][0]:g} in row "
                                     f"{(~same).argmax()}, {np.sum(~same)} rows in all")
                values = own
            if values is not None:
                of_parts.append(values)
        if of_parts and not np.isnan(values := np.concatenate(of_parts)).all():
            found[name] = values
        else:
            notes.append(f"no {name}: no row has a value")
    return found


def _labels(folder, meta):
    """labels_PART.npy by part; None where there is none of them."""
    paths = {part: folder / f"labels_{suffix}.npy" for part, suffix in _SUFFIXES.items()}
    if not any(path.exists() for path in paths.values()):
        return None
    found = {}
    for part, path in paths.items():
        values = load_array(path)
        expected = (len(meta[part]), len(PARAMETERS))
        if values.shape != expected or values.dtype.kind not in "fiu":
            raise ValueError(f"{path}: expected numbers of shape {expected} ({', '.join(PARAMETERS)}), got "
                             f"{values.dtype} of shape {values.shape}")
        if np.isinf(values).any():
            raise ValueError(f"{path}: expected no infinity, got {np.isinf(values).sum()}")
        found[part] = values.astype(float)
    return found
