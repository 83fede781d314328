"""The checklist of a release: what must hold before a version is uploaded, each with its verdict and time.

    python -m benchmarks release --json release.json   all of it, two hours of two cores; a run that was killed goes on
    python -m benchmarks.release wheel docs            only these, as `.ci/run` does
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Row, print_table, row
from benchmarks.steps import ROOT, StepError, run_logged
from benchmarks.wheel import check_wheel
from phasejax._core.atomic_files import written_whole
from phasejax._core.progress import ProgressCallback, print_progress, reporting

PYTHON = [sys.executable, "-m"]
SPHINX = ["sphinx", "-W", "--keep-going", "-n", "-j", "2", "docs"]


def _state(folder: Path) -> None:
    """The tree is clean and tagged, and the changelog and the citation have the tag's version."""
    if changed := run_logged(folder, "git", "status", "--porcelain").splitlines()[1:]:
        raise StepError(f"{len(changed)} files that are not committed, the first {changed[0].strip()}")
    tag = run_logged(folder, "git", "describe", "--tags", "--exact-match").splitlines()[-1]
    version = tag.removeprefix("v")
    for name, line in (("CHANGELOG.md", f"## {version}"), ("CITATION.cff", f"version: {version}")):
        if not any(found.startswith(line) for found in (ROOT / name).read_text(encoding="utf-8").splitlines()):
            raise StepError(f"{name}: expected a line {line!r}, as the tag is {tag}")


def _style(folder: Path) -> None:
    run_logged(folder, *PYTHON, "ruff", "check", ".")
    run_logged(folder, *PYTHON, "pyright", "--pythonpath", sys.executable)


def _tests(folder: Path) -> None:
    run_logged(folder, *PYTHON, "pytest", "-q", "-m", "")


def _figures(folder: Path) -> None:
    run_logged(folder, *PYTHON, "paper_figs", "--preset", "quick", "--out", folder / "figures")


def _docs(folder: Path) -> None:
    run_logged(folder, *PYTHON, *SPHINX, folder / "pages")


def _wheel(folder: Path) -> None:
    check_wheel(folder)


def _fuzz(folder: Path) -> None:
    run_logged(folder, *PYTHON, "tests.fuzz", "--inputs", "5000", "--workers", "2")


STEPS: dict[str, Callable[[Path], None]] = {
    "state": _state, "style": _style, "wheel": _wheel, "docs": _docs, "figures": _figures, "tests": _tests,
    "fuzz": _fuzz}


def run(store: Path | None = None, progress: bool | ProgressCallback = False,
        steps: tuple[str, ...] = tuple(STEPS)) -> list[Row]:
    """Whether each step passes (1 or 0), and how long it takes.

    Args:
        store: folder in which a step that passed is noted, so that it is not run again at the same commit; and which
            keeps what each step printed.
        progress: how steps are told.
        steps: which ones, in `STEPS`.
    """
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, reporting(progress) as tell:
        for number, name in enumerate(steps):
            folder = (store or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            passed, start = folder / "passed.txt", time.perf_counter()
            if not (commit and passed.exists() and passed.read_text().startswith(commit)):
                try:
                    STEPS[name](folder)
                    with written_whole(passed) as unfinished:
                        unfinished.write_text(f"{commit}{time.perf_counter() - start:.1f}\n")
                except StepError as failed:
                    print(f"{name}: {failed}", file=sys.stderr, flush=True)
                    passed.unlink(missing_ok=True)
            seconds = float(passed.read_text().split()[-1]) if passed.exists() else time.perf_counter() - start
            rows += [row(name, "passed", passed.exists(), "1"), row(name, "time", seconds, "s")]
            tell("release", number + 1, len(steps))
    return rows


def failed(rows: list[Row]) -> list[str]:
    """The steps that did not pass."""
    return [entry["case"] for entry in rows if entry["metric"] == "passed" and not entry["value"]]


if __name__ == "__main__":
    chosen = tuple(sys.argv[1:])
    if unknown := set(chosen) - set(STEPS):
        print(f"error: steps: expected some of {', '.join(STEPS)}, got {', '.join(sorted(unknown))}", file=sys.stderr)
        sys.exit(2)
    found = run(progress=print_progress, steps=chosen or tuple(STEPS))
    print_table("release", found)
    sys.exit(bool(failed(found)))
