"""How long the parts of a diagnosis are expected to take, so that one bar can tell how far the whole is."""

from phasejax._core.progress import ProgressCallback

# Rows on which all but the moments rests at most.
_MOST_ROWS = 50_000
_TASK = "diagnosis"
# Units in which progress is told, per second.
UNITS = 10


def expected_seconds(n: int, d: int, *, predicted_scores: bool = True, pilot: bool = False, fit: bool = True
                     ) -> dict[str, float]:
    """Seconds that each part takes on two cores where its programs have not been compiled yet, in the order of parts.

    The constants are CPU times of the digits' halves (1797 rows, 61 columns), and of a million rows of 1024 columns.

    Args:
        n: rows.
        d: columns of both views together.
        predicted_scores, pilot, fit: what the diagnosis does.
    """
    products = min(n, _MOST_ROWS) * float(d) ** 2
    seconds = {"is anything shared": 0.5 + 4e-10 * products, "label content": 0.5 + 3e-10 * products}
    if predicted_scores:
        seconds["scores of what can be trained"] = 3 + 3e-10 * products
    if pilot:
        seconds["pilot, steps of all folds"] = 18 + 0.03 * d
    if fit:
        seconds["moments of a spiked model"] = 10 + 1e-9 * products
    return seconds


def as_one_task(tell: ProgressCallback, seconds: dict[str, float]) -> ProgressCallback:
    """A callback that tells the parts of a diagnosis as the single task `diagnosis`, its part in parentheses.

    What is done and the total are told in tenths of the seconds that are expected, so that equal steps take about
    equal times. What is done never falls; a part that was left out counts as done when the next one begins.

    Args:
        tell: the callback that is called.
        seconds: of each part, in order (`expected_seconds`).

    >>> advance = as_one_task(print, {"label content": 2.0, "pilot, steps of all folds": 6.0, "the rest": 2.0})
    >>> advance("diagnosis: label content", 0, 3)
    diagnosis (label content) 0 100
    >>> advance("pilot, steps of all folds", 150, 300)
    diagnosis (pilot, steps of all folds: 150 of 300) 50 100
    >>> advance("diagnosis", 3, 3)
    diagnosis 100 100
    """
    whole = max(1, round(UNITS * sum(seconds.values())))
    furthest = 0

    def advance(task: str, done: int, total: int) -> None:
        nonlocal furthest
        part = task.removeprefix(f"{_TASK}: ")
        if part in seconds:
            before = sum(list(seconds.values())[:list(seconds).index(part)])
            inside = done / total if part == task and total else 0.0  # such a part counts its own steps
            furthest = max(furthest, round(UNITS * (before + inside * seconds[part])))
            steps = f": {done} of {total}" if part == task else ""
            tell(f"{_TASK} ({part}{steps})", min(furthest, whole), whole)
        elif done >= total:
            furthest = whole
            tell(_TASK, whole, whole)

    return advance
