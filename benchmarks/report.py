"""What every benchmark has in common: how it is declared, its rows as a table and as JSON, the memory of a process."""

import json
import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import SupportsFloat, TypedDict

from phasejax._core.atomic_files import written_whole


class Row(TypedDict):
    """One measurement."""

    case: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of the command.

    Args:
        title: what it measures, in a few words.
        run: measures; called as `run()`, or, if the benchmark is resumable, as `run(store=folder, progress=callback)`.
        resumable: whether it takes so long that what is done is kept in a folder, from which a run that was killed
            goes on.
        only_when_named: whether it is left out when no benchmark is named.
    """

    title: str
    run: Callable[..., list[Row]]
    resumable: bool = False
    only_when_named: bool = False


def row(case: str, metric: str, value: SupportsFloat, unit: str) -> Row:
    """One measurement.

    Args:
        case: what was measured: the program and the size of its input.
        metric: which property of it.
        value: a number, in `unit`.
        unit: such as "s" or "GB"; "1" for a plain number.
    """
    return Row(case=case, metric=metric, value=float(value), unit=unit)


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    try:  # on Linux getrusage would include the process that started this one
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is not None:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_table(title: str, rows: list[Row]) -> None:
    """Print the rows as a table on standard output."""
    from rich.console import Console  # not above, since processes that only measure their memory need no tables
    from rich.table import Table

    table = Table("case", "metric", "value", "unit", title=title)
    for entry in rows:
        table.add_row(entry["case"], entry["metric"], f"{entry['value']:.4g}", entry["unit"])
    Console(width=110).print(table)


def measured_on() -> dict[str, str]:
    """The day, the processors, and the versions of what was measured."""
    import jax  # not above, since processes that only measure their memory need none of it

    from phasejax import __version__

    try:
        found = re.search(r"model name\s*: *(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    processor = found[1].strip() if found else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{cores} cores of {processor}, {platform.system()}"
    if jax.default_backend() != "cpu":
        machine += f", {len(jax.devices())} x {jax.devices()[0].device_kind}"
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "python": platform.python_version(),
            "jax": jax.__version__, "phasejax": __version__}


def write_json(path: Path, rows: list[Row], benchmarks: Sequence[str]) -> None:
    """Write the rows of the benchmarks with where and when they were measured to a file, all or nothing."""
    saved = {"benchmarks": list(benchmarks), "measured": measured_on(), "rows": rows}
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
