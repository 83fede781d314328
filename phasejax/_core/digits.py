"""How numbers are shown to people: as many digits as they deserve, and never 0 or 1 for what is neither.

Results keep all digits; this is for text: tables, summaries, reports, annotations of figures.
"""

import math

# A number closer to 0 or 1 than this, relative to what rounding leaves, is shown as 0 or 1.
_ROUNDING = 1e-13
_FEWEST, _MOST = -6, 12


def significant(value: float | int, digits: int = 3) -> str:
    """A number with so many significant digits; powers of ten from a million on and below a ten thousandth.

    >>> significant(0.12345), significant(12345.6), significant(1.2e-7), significant(0), significant(0.9999)
    ('0.123', '12300', '1.20e-07', '0', '0.9999')
    """
    return to_decimals(value, digits - 1 - _power(value, digits))


def with_interval(value: float | int, low: float | int, high: float | int, sign: str = "") -> str:
    """A number with its interval, to the digits that the interval's half-width leaves: two, or one from 3.5 on.

    A number that its interval does not tell from 0 or 1 has these digits too, however near it is.

    Args:
        value: the number.
        low, high: ends of its interval.
        sign: "+" to show the sign of positive numbers too.

    >>> with_interval(0.89234, 0.8551, 0.9213), with_interval(1234.5, 1100, 1400), with_interval(0.99996, 0.9995, 1)
    ('0.892 [0.855, 0.921]', '1230 [1100, 1400]', '0.99996 [0.99950, 1]')
    >>> with_interval(1.00002, 0.9973, 1.0027), with_interval(-3e-7, -0.012, 0.011, sign="+")
    ('1.0000 [0.9973, 1.0027]', '+0.000 [-0.012, +0.011]')
    """
    decimals = decimals_of(low, high)
    if decimals is None:
        decimals = 2 - _power(value)
    shown = [to_decimals(one, decimals, sign) for one in (value, low, high)]
    nearest = round(float(value), decimals) if math.isfinite(value) else math.nan
    if decimals > 0 and value != nearest and any(nearest == one and low < one < high for one in (-1.0, 0.0, 1.0)):
        shown[0] = f"{nearest + 0.0:{sign}.{min(decimals, _MOST)}f}"  # the sum makes no difference but for -0
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def decimals_of(low: float | int, high: float | int) -> int | None:
    """Decimals that an interval leaves to its ends and to the number in it; None where it has no finite width."""
    half = (high - low) / 2
    if not (math.isfinite(half) and half > 0):
        return None
    power = math.floor(math.log10(half))
    return (1 if half / 10**power < 3.5 else 0) - power


def p_value(value: float | int, least: float | int | None = None) -> str:
    """A p-value with its sign and without the 0 before the point: one significant digit, two from .01 on.

    Args:
        value: the p-value.
        least: the smallest one that the test could have given, as of random pairings; at it no more is known than an
            upper bound.

    >>> p_value(0.00312), p_value(0.47), p_value(0.01, least=0.01), p_value(1), p_value(3e-7), p_value(0)
    ('= .003', '= .47', '<= .01', '= 1', '= 3e-7', '< 1e-300')
    """
    if value == 0:
        return "< 1e-300"
    if value < 1e-4:
        mantissa, _, power = f"{value:.0e}".partition("e")
        shown = f"{mantissa}e{int(power)}"
    elif 0.995 < value < 1:
        return "> .99"
    else:
        shown = (f"{value:.2f}" if value >= 0.0995 else f"{value:.{2 if value >= 0.00995 else 1}g}").removeprefix("0")
        shown = "1" if value >= 1 else shown
    return f"<= {shown}" if least is not None and value <= least * (1 + 1e-9) else f"= {shown}"


def _power(value: float | int, digits: int = 3) -> int:
    """The power of ten of a number's first digit, after rounding to so many digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2]) if math.isfinite(value) else 0


def to_decimals(value: float | int, decimals: int, sign: str = "") -> str:
    """A number to so many decimals, more where it would be shown as 0 or 1 (or -1) and is not."""
    value = float(value)
    if not math.isfinite(value):
        return f"{value:{sign}}"
    for exact in (0.0, 1.0, -1.0):
        if value == exact or (exact and abs(value - exact) < _ROUNDING):
            return f"{exact:{sign}g}" if exact else "0"
    power = _power(value)
    if power >= 6 or power < -4:
        return f"{value:{sign}.{min(max(power + decimals, 0), 2)}e}"
    decimals = min(max(decimals, _FEWEST), _MOST)
    while decimals < _MOST and round(value, decimals) in (0.0, 1.0, -1.0):
        decimals += 1
    return f"{round(value, decimals):{sign}.{max(decimals, 0)}f}"
