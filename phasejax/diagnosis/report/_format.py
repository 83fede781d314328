"""How a report writes numbers and names; the filters that its template knows."""

import math
import re

from phasejax._core import digits
from phasejax._core.digits import to_decimals, with_interval
from phasejax.diagnosis._bootstrap import Score
from phasejax.diagnosis._estimates import Estimate
from phasejax.diagnosis._label_rows import labels_in_words

# Written as escapes, since each looks like another letter.
NU, GAMMA, TIMES, MINUS = "\u03bd", "\u03b3", "\u00d7", "\u2212"
# Letter and index of the quantities that have a symbol; the others go by their name in code.
SYMBOLS = {"delta_ca": ("Δ", "CA"), "delta_cp": ("Δ", "CP"), "delta_cp_reverse": ("Δ", "CP y→x"),
           "kappa": ("κ", ""), "nu": (NU, ""), "gamma_x": (GAMMA, "x"), "gamma_y": (GAMMA, "y")}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def readable(sentence: str) -> str:
    """A sentence as it is printed: a minus sign before numbers, "R²" for "R2" and an arrow for "->"."""
    return re.sub(r"(?<=[ \[])-(?=\d)", MINUS, sentence.replace("R2", "R²").replace("->", "→"))


def level(share: float | int) -> str:
    """A confidence in percent, as exact as it was given: 0.9 becomes "90%", 0.995 "99.5%"."""
    return f"{100 * share:.4g}%"


def percent(share: float | int) -> str:
    """A probability in whole percent, where only what is certain is 0% or 100%."""
    if not math.isfinite(share):
        return "unknown"
    return "< 1%" if 0 < share < 0.005 else "> 99%" if 0.995 < share < 1 else f"{share:.0%}"


def number(value: float | int) -> str:
    """Three significant digits; powers of ten from a million on and below a thousandth."""
    value = float(value)
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.2e}".partition("e")
    decimals = 2 - int(power)
    if -3 <= int(power) < 6:
        return f"{round(value, decimals):,.{max(decimals, 0)}f}".replace("-", MINUS)
    return f"{mantissa} {TIMES} 10{str(int(power)).translate(_SUPERSCRIPTS)}".replace("-", MINUS)


def fixed(value: float | int) -> str:
    """Two decimals, more where these would show 0 or 1 for what is neither."""
    return to_decimals(value, 2).replace("-", MINUS) if math.isfinite(value) else number(value)


def interval(estimate: Estimate | Score) -> str:
    """A median, a share or a score with its interval, to the digits that this leaves: "1.24 [1.20, 1.28]"."""
    if not all(map(math.isfinite, (estimate.value, estimate.low, estimate.high))):
        return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"
    return with_interval(estimate.value, estimate.low, estimate.high).replace("-", MINUS)


def p_value(value: float | int, least: float | int | None = None) -> str:
    """A p-value with its sign, such as "= .003"; at most `least` where the test cannot give less."""
    return digits.p_value(value, least).replace("<=", "≤")


def capitalised(text: str) -> str:
    """Words with a capital letter first; the names of the views stay as they are."""
    return text if re.match("[xy][ :]", text) else text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Words as a sentence: with a capital letter, and a full stop where there is none."""
    return capitalised(text) + "." * (not text.endswith((".", "?", "!")))


def counted(count: int, noun: str) -> str:
    """A count with its noun, such as "1 component" or "1,200 components"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def thousands(count: int) -> str:
    """A whole number with its thousands set apart: "1,797"."""
    return f"{count:,}"


FILTERS = {function.__name__: function for function in (
    readable, level, percent, number, fixed, interval, p_value, capitalised, sentence, counted,
    thousands, labels_in_words)}
