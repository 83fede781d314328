"""Whether the first line of a text table names its columns, decided from the table alone.

Text above numbers is a header. Names that are numbers (0, 1, 2, ... as pandas writes them, wavelengths, phases) are told
from a row of data by what no other row has: whole numbers above decimals, a strictly rising or falling sequence, even
spacing. Where a row of data could well look so too, the answer is the reason why it cannot be told.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from phasejax.io._text_dialect import MISSING, is_number, to_number

_ID = re.compile(r"(.*[_\s.\-/])?(id|ids|uid|uuid|guid|oid)|.*[a-z](ID|Id)|barcodes?|kic|kid|tic|epic|obs_names?|"
                 r"(kep|obj|source|object|cell|star|gaia|sdss|spec|specobj|photo|photoobj|obs|patient|subject|sample)id|"
                 r"accession|designation|row_?names?|unnamed: \d+(\.\d+)?", re.IGNORECASE)
_MAYBE_ID = re.compile(r"names?|objects?|source|cells?|samples?|stars?|index|row|subject|patient|participant|donor|key|"
                       r"file_?names?|files?|images?|paths?|gene|target_name", re.IGNORECASE)
_LABEL = re.compile(r"(.*[_\s.\-])?(labels?|class|classes|types?|species|category|group|clusters?|kind|target|phase|"
                    r"condition|diagnosis|status|annotation|celltypes?|leiden|louvain|batch|stage|sex|treatment|y)",
                    re.IGNORECASE)


def is_id_name(name: str, *, surely: bool = False) -> bool:
    """Whether the name of a column says that it holds identifiers; some, such as "star", may also mean something else."""
    return bool(_ID.fullmatch(name) or name and not re.search(r"[a-z]", name) and re.fullmatch(r".*[_ ]?ID", name)
                or not surely and _MAYBE_ID.fullmatch(name))


@dataclass(frozen=True, eq=False)
class _Columns:
    """The first line beside the lines below it: what each column holds."""

    first: list[str]
    texts: list[np.ndarray]  # of each column below the first line
    decimal: str

    def __post_init__(self):
        held = [("empty" if text == "" else "missing" if text in MISSING else
                 "number" if is_number(text, self.decimal) else "text") for text in self.first]
        object.__setattr__(self, "held", held)
        object.__setattr__(self, "below", [self._below(column) for column in self.texts])

    held: list[str] = None  # pyright: ignore[reportAssignmentType] - set above
    below: list[str] = None  # pyright: ignore[reportAssignmentType] - set above

    def _below(self, column):
        kept = [text for text in column if text not in MISSING]
        numbers = sum(is_number(text, self.decimal) for text in kept)
        if not kept:
            return "missing"
        return "number" if 2 * numbers > len(kept) else "text"


def find_header(first: list[str], texts: list[np.ndarray], decimal: str, asked: tuple[str, ...] = ()) -> bool | str:
    """Whether the first line holds names.

    Args:
        first: its fields.
        texts: the fields of each column in the lines below, without blanks around them.
        decimal: the decimal sign.
        asked: names of columns that the user asked for.

    Returns:
        True or False, or, where it cannot be told, the reason.
    """
    first = [text.strip() for text in first]
    if any(name in first for name in asked if not is_number(name, decimal)):
        return True
    if not texts or not len(texts[0]):
        return False
    columns = _Columns(first, texts, decimal)
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
    seen = any(first[place] in texts[place] for place, kind in enumerate(held) if kind == "text")
    if held[0] == "empty" and len(numbers) == len(first) - 1:
        if verdict is not True and _distinct(texts[0]) and (below[0] == "text" or _whole(texts[0])):
            return "the first field is empty, and the others may be names or a row whose first value is missing"
        return verdict
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
        if columns.first[place] in columns.texts[place]:
            return False
    names = [columns.first[place] for place in texts]
    if any(is_id_name(name) or _LABEL.fullmatch(name) for name in names):
        return True
    for place in texts:
        _, counts = np.unique([text for text in columns.texts[place] if text not in MISSING], return_counts=True)
        if len(counts) and counts.min() >= 2:
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
    texts = np.array([columns.texts[place] for place in places], str).T
    rows, size = texts.shape
    whole_below = np.char.isdigit(np.char.lstrip(texts, "+-"))
    counted = first == [str(place) for place in range(size)]
    all_whole = all(_is_whole(text) for text in first)
    doubt = f"{', '.join(first[:3])}{', ...' if size > 3 else ''} may be names of columns or their first values"
    values = np.array([to_number(text, columns.decimal) for text in first])
    below = np.array([[to_number(text, columns.decimal) for text in row] for row in texts])
    if all_whole and not whole_below.any() and (size > 1 or counted):
        if size >= 3:
            return True if rows >= 3 or counted else doubt
        rising = bool((np.diff(below, axis=0) > 0).all() or (np.diff(below, axis=0) < 0).all())
        return True if counted and rows >= 10 and not rising else doubt
    if size == 1:
        return False
    if not any(_is_whole(text) for text in first) and whole_below.all() and rows >= 5:
        return True if size >= 3 else doubt
    if counted:
        if size < 4:
            one_hot = bool(np.isin(below, (0, 1)).all() and (below.sum(1) == 1).all())
            return False if one_hot else doubt
        ranks = bool((np.sort(below, axis=1) == values).all())
        return doubt if ranks else True
    return _sequence(values, below, doubt, _last_digit(first, columns.decimal))


def _sequence(values, below, doubt, digit):
    """Whether numbers are told from the rows below them by their order, their spacing or their size."""
    rows, size = below.shape
    with np.errstate(invalid="ignore"):
        middle, spread = np.nanmedian(below, 0), np.ptp(np.nanpercentile(below, (25, 75), axis=0), axis=0)
        apart = np.abs(values - middle) > 20 * spread
        far = bool(apart[spread > 0].all() and (spread > 0).sum() >= max(2, size / 2) and rows >= 4)
        steps, steps_below = np.diff(values), np.diff(below, axis=1)
        sign = np.sign(steps[0])
        rising = bool((sign * steps > 0).all()) and size >= 3
        alike = int((sign * steps_below > 0).all(1).sum())
        tolerance = 2.01 * digit
        even = rising and float(np.ptp(steps)) <= tolerance
        even_below = bool((np.ptp(steps_below, axis=1) <= tolerance).any())
    if rising and alike == 0:
        chance = 1 / math.factorial(min(size, 20))  # of a row of independent values to be in this order
        if size >= 7 or size >= 5 and (far or even and not even_below):
            return True
        if size <= 4 and rows * chance >= 8 and (far or even and not even_below):
            return True
        return doubt
    if rising and (alike <= 0.02 * rows or even and not even_below and size >= 4):
        return True if size >= 7 and (far or even and not even_below) else doubt
    return doubt if far else False


def _last_digit(texts, decimal):
    """The unit of the last digit with which numbers are written."""
    return max(10.0 ** -len(text.partition(decimal)[2]) if "e" not in text.lower() else 1e-3 for text in texts)


def _is_whole(text):
    return text.lstrip("+-").isdigit()


def _whole(texts):
    return all(_is_whole(text) for text in texts)


def _distinct(texts):
    return len(set(texts)) == len(texts)
