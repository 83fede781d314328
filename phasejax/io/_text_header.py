"""Whether the first line of a text table names its columns, decided from the table alone.

Text above numbers is a header. Names that are numbers (0, 1, 2, ... as pandas writes them, wavelengths, phases) are
told from a row of data by what no other row has: whole numbers above decimals, fewer digits, a strictly rising or
falling sequence, even spacing, another size. Where a row of data could well look so too, the answer is the reason why
it cannot be told.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from phasejax.io._text_dialect import MISSING, is_number, to_number

_ID = re.compile(
    r"(.*[_\s.\-/])?(id|ids|uid|uuid|guid|oid|barcodes?)|.*[a-z](ID|Id)|kic|kid|tic|epic|hip|obs_names?|"
    r"(kep|obj|source|object|cell|star|gaia|sdss|spec|specobj|photo|photoobj|obs|patient|subject|sample)id|"
    r"accession|designation|row_?names?|unnamed: \d+(\.\d+)?",
    re.IGNORECASE,
)
_MAYBE_ID = re.compile(
    r"(.*[_\s.\-/])?(names?|number|no|nr|accession|key)|objects?|source|cells?|samples?|stars?|index|row|subject|"
    r"patient|participant|donor|file_?names?|files?|images?|paths?|gene|2mass|hd|(gaia[_ ])?e?dr[23]",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(.*[_\s.\-])?(labels?|class|classes|types?|species|category|group|clusters?|kind|target|phase|"
    r"condition|diagnosis|status|annotation|celltypes?|leiden|louvain|batch|stage|sex|treatment|y)",
    re.IGNORECASE,
)

_DOUBT = "doubt"  # replaced by the reason
# So many labels, all of them repeated, below a text that stands there once make the latter a name.
_MANY = 20


def is_id_name(name: str, *, surely: bool = False) -> bool:
    """Whether the name of a column says that it holds identifiers.

    Args:
        name: the name.
        surely: leave out names such as "star", which may mean something else.
    """
    name = name.strip("#_. ")  # "#id", "id_", "No."
    return bool(
        _ID.fullmatch(name)
        or (name and not re.search(r"[a-z]", name) and re.fullmatch(r".*[_ ]?ID", name))
        or (not surely and _MAYBE_ID.fullmatch(name))
    )


@dataclass(frozen=True, eq=False)
class _Columns:
    """The first line beside the lines below it.

    Args:
        first: its fields.
        texts: the fields of the lines below, shape (rows, columns).
        numbers: the numbers in them, NaN where there is none.
        missing: where a value is missing.
        held: what each field of the first line holds: "empty", "missing", "number" or "text".
        below: what each column holds below it: "missing", "number" or "text", whatever there is more of.
    """

    first: list[str]
    texts: np.ndarray
    numbers: np.ndarray
    missing: np.ndarray
    held: list[str]
    below: list[str]
    decimal: str


def _columns(first, texts, decimal):
    import pandas as pd

    held = [
        "empty" if text == "" else "missing" if text in MISSING else "number" if is_number(text, decimal) else "text"
        for text in first
    ]
    flat = pd.Series(texts.ravel())
    missing = flat.isin(MISSING).to_numpy().reshape(texts.shape)
    points = flat if decimal == "." else flat.str.replace(",", ".", regex=False)
    numbers = np.asarray(pd.to_numeric(points, errors="coerce"), float).reshape(texts.shape)
    kept, count = (~missing).sum(0), (~np.isnan(numbers)).sum(0)
    below = np.where(kept == 0, "missing", np.where(2 * count > kept, "number", "text")).tolist()
    return _Columns(first, texts, numbers, missing, held, below, decimal)


def find_header(first: list[str], texts: np.ndarray, decimal: str, asked: tuple[str, ...] = ()) -> bool | str:
    """Whether the first line holds names.

    Args:
        first: its fields.
        texts: the fields of the lines below, without blanks around them, shape (rows, columns).
        decimal: the decimal sign.
        asked: names of columns that the user asked for.

    Returns:
        True or False, or, where it cannot be told, the reason.
    """
    first = [text.strip() for text in first]
    if any(name in first for name in asked if not is_number(name, decimal)):
        return True
    if not texts.size:
        return False
    columns = _columns(first, texts, decimal)
    held, below = columns.held, columns.below
    numbers = [place for place, kind in enumerate(held) if kind == "number"]
    above_numbers = [place for place, kind in enumerate(held) if kind == "text" and below[place] == "number"]
    worded = [first[place] for place in above_numbers if re.search(r"[^\W\d_]", first[place])]
    if not numbers:
        if not above_numbers:
            return _text_above_text(columns)
        return True if worded else f"{first[above_numbers[0]]} above numbers may be a name or a missing value"
    if above_numbers:
        return _mixed(columns, numbers, above_numbers, worded)
    verdict = _names_are_numbers(columns, numbers)
    seen = any(first[place] in texts[:, place] for place, kind in enumerate(held) if kind == "text")
    if held[0] == "empty" and len(numbers) == len(first) - 1:
        if _distinct(texts[:, 0]) and (
            below[0] == "text" or all(map(_is_whole, texts[:, 0]))
        ):  # identifiers, which are never missing
            return verdict is not False or (
                "the first field is empty, and the others may be names or a row whose first value is missing"
            )
        return verdict
    of_words = [place for place in numbers if below[place] == "text"]
    if of_words and np.isnan(columns.numbers[:, of_words[0]]).all():
        return f"{first[of_words[0]]} stands above text"
    if "text" not in held:
        return verdict if "missing" not in held and "empty" not in held else False
    if seen:
        return False
    named = [first[place] for place, kind in enumerate(held) if kind == "text"]
    if verdict is False and any(is_id_name(name) or _LABEL.fullmatch(name) for name in named):
        return f"{named[0]} may be the name of a column, and the numbers of that line names or values"
    return verdict


def _text_above_text(columns):
    texts = [place for place, kind in enumerate(columns.held) if kind == "text"]
    if not texts:
        return False
    for place in texts:
        if columns.first[place] in columns.texts[:, place]:
            return False
    names = [columns.first[place] for place in texts]
    if any(is_id_name(name) or _LABEL.fullmatch(name) for name in names):
        return True
    for place in texts:
        _, counts = np.unique(columns.texts[~columns.missing[:, place], place].astype(str), return_counts=True)
        if counts.sum() >= _MANY and counts.min() >= 2:
            return True
    return f"{names[0]} may be the name of a column or its first value"


def _mixed(columns, numbers, above_numbers, worded):
    """Names of which some are numbers, above numbers."""
    names = [text for text, kind in zip(columns.first, columns.held, strict=True) if kind in ("text", "number")]
    if len(set(names)) == len(names) and len(worded) >= 2 and len(worded) == len(above_numbers):
        return True
    place = above_numbers[0]
    at_an_end = len(above_numbers) == 1 and place in (0, len(columns.first) - 1)
    if worded and at_an_end:
        verdict = _names_are_numbers(columns, numbers)
        counted = [columns.first[number] for number in numbers] == [str(i) for i in range(len(numbers))]
        if verdict is True or counted or is_id_name(columns.first[place]):
            return True
    return f"{columns.first[place]} stands above numbers, beside numbers"


def _names_are_numbers(columns, places):
    """Whether numbers above numbers are names of columns."""
    first = [columns.first[place] for place in places]
    if any(columns.below[place] == "text" for place in places) or len(set(first)) < len(first):
        return False
    doubt = f"{', '.join(first[:3])}{', ...' if len(first) > 3 else ''} may be names of columns or their first values"
    counted = first == [str(place) for place in range(len(first))]
    places = [place for place in places if columns.below[place] != "missing"]
    if not places:
        return doubt
    first = [columns.first[place] for place in places]
    texts = columns.texts[:, places].astype(str)
    values = np.array([to_number(text, columns.decimal) for text in first])
    below = columns.numbers[:, places]
    verdict = _form(first, texts, below, counted)
    if verdict is None:
        verdict = _sequence(values, below, _last_digit(first, columns.decimal))
    usual = (np.arange(len(values)), np.linspace(0, 1, len(values)))
    if verdict is False and len(values) > 1 and any(np.allclose(values, names, rtol=0, atol=2e-3) for names in usual):
        verdict = _DOUBT
    return doubt if verdict == _DOUBT else verdict


def _form(first, texts, below, counted):
    """Whether numbers are told from the rows below them by how they are written; None where that says nothing.

    Only a header of whole numbers stands above decimals, or the reverse: a column is written in one form.
    """
    rows, size = texts.shape
    present = ~np.isnan(below)
    whole = np.char.isdigit(np.char.lstrip(texts, "+-"))
    share = (whole & present).sum() / present.sum()  # of whole numbers below
    all_whole = all(_is_whole(text) for text in first)
    if all_whole and rows == 1:
        return _DOUBT
    if all_whole and size >= 2 and rows >= 3 and share**size < 1e-2 and not whole.all(1).any():
        return True if size >= 3 and share**size < 1e-6 else _DOUBT
    if all_whole and share == 0:
        rising = bool((np.diff(below, axis=0) > 0).all() or (np.diff(below, axis=0) < 0).all())
        return True if counted and ((rows >= 3 and size >= 3) or (rows >= 10 and not rising)) else _DOUBT
    digits = _digits(texts)
    short = digits <= _digits(np.array(first)).max()
    share = (short & present).sum() / present.sum()
    if share**size < 1e-2 and rows >= 2 and not short.all(1).any():
        return True if size >= 3 and rows >= 3 and share**size < 1e-6 else _DOUBT
    columns_of_whole = (whole | ~present).all(0)
    if any(is_whole and not _is_whole(text) for text, is_whole in zip(first, columns_of_whole, strict=True)):
        every = size >= 3 and rows >= 5 and columns_of_whole.all() and not any(_is_whole(text) for text in first)
        return True if every else _DOUBT
    if counted and size == 1 and all_whole and not (below == 0).any():
        return _DOUBT
    if counted and size > 1:
        ranks = bool((np.sort(below, axis=1) == np.arange(size)).all())
        return True if size >= 4 and rows >= 3 and not ranks else _DOUBT
    return None


def _sequence(values, below, digit):
    """Whether numbers are told from the rows below them by their order, their spacing or their size."""
    rows, size = below.shape
    lowest, highest = np.nanmin(below, 0), np.nanmax(below, 0)
    margin = (
        0.5 if size < 3 else 0.25 if size < 6 else 0.1
    )  # in ranges; that all columns exceed it is rarer if they are many
    beyond = np.maximum(lowest - values, values - highest) > np.maximum(
        margin * (highest - lowest), 1e-9 * abs(highest)
    )
    far = bool(beyond.all()) and rows >= 2
    if size == 1:
        return _DOUBT if far and 10 * (highest - lowest) < max(lowest - values, values - highest) else False
    if size == 2:
        return _DOUBT if far else False
    with np.errstate(invalid="ignore"):
        steps, steps_below = np.diff(values), np.diff(below, axis=1)
        sign = np.sign(steps[0])
        rising = bool((sign * steps > 0).all())
        alike = int((sign * steps_below > 0).all(1).sum())
        step = abs(float(steps.mean()))
        tolerance = max(2.01 * digit if step >= 20 * digit else 0.0, 0.01 * step)
        even = rising and float(np.ptp(steps)) <= tolerance
        even = even and float((np.ptp(steps_below, axis=1) <= tolerance).mean()) <= 0.05
    if rising and alike == 0:
        chance = 1 / math.factorial(min(size, 20))  # of a row of independent values to be in this order
        enough = (size >= 7 and rows >= 3) or ((far or even) and (size >= 5 or rows * chance >= 8))
        return True if enough and rows >= 3 else _DOUBT
    if rising and (alike <= 0.02 * rows or even or rows < 3):
        return True if size >= 7 and (far or even) and rows >= 3 else _DOUBT
    return _DOUBT if far else False


def _last_digit(texts, decimal):
    """The unit of the last digit with which numbers are written."""
    return max(10.0 ** -len(text.partition(decimal)[2]) if "e" not in text.lower() else 1e-3 for text in texts)


def _digits(texts):
    """With how many significant digits numbers are written, without zeros at either end."""
    mantissas = np.char.partition(np.char.lower(texts), "e")[..., 0]
    for sign in "+-.,":
        mantissas = np.char.replace(mantissas, sign, "")
    return np.maximum(np.char.str_len(np.char.strip(mantissas, "0")), 1)


def _is_whole(text):
    return text.lstrip("+-").isdigit()


def _distinct(texts):
    return len(set(texts)) == len(texts)
