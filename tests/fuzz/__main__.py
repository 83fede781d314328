"""Try thousands of hostile inputs: `python -m tests.fuzz --inputs 5000` prints a table of what became of them.

Inputs are tried in worker processes with a limit on their memory and on the seconds of each input, so that what hangs
or ends the interpreter is counted. An input is made from its area and number alone: `python -m tests.fuzz --area
commands --only 17` repeats one.
"""

import json
import os
import resource
import selectors
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Literal

import tyro

from tests.fuzz.outcomes import AREAS, BAD, GOOD, Outcome, outcome_of
from tests.support import QUICK_TO_COMPILE, ROOT

# Half of the inputs are files, which are tried fastest.
_SHARES = ("files", "commands", "files", "calls")


@dataclass(frozen=True)
class Options:
    """Try hostile files, command lines and calls."""

    inputs: int = 5000
    """How many."""
    start: int = 0
    """Number of the first input."""
    seconds: float = 60.0
    """After how long an input counts as a hang."""
    gigabytes: float = 8.0
    """Address space of a worker."""
    workers: int = 2
    """Processes at a time."""
    area: Literal[("all", *AREAS)] = "all"  # type: ignore[valid-type]
    """Which kind of inputs."""
    only: int | None = None
    """Repeat a single input in this process and show what became of it."""
    quick: bool = False
    """Only what is done within a second, as in the default tests; with --only."""
    all: bool = False
    """Also print the inputs that were read or refused."""


class Worker:
    """A process that tries one input after the other."""

    def __init__(self, gigabytes: float):
        limit = int(gigabytes * 2**30)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": QUICK_TO_COMPILE,
            "PHASEJAX_CACHE": "off",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "compiled"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.outcomes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
            cwd=ROOT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
        self.input: tuple[str, int] | None = None
        self.since = 0.0

    def give(self, area: str, number: int) -> None:
        """Let it try an input."""
        self.input, self.since = (area, number), time.monotonic()
        self.process.stdin.write(f"{area} {number}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def tried(options: Options) -> dict[tuple[str, int], Outcome]:
    """The outcome of every input, by area and number."""
    queue = [
        (_SHARES[number % len(_SHARES)] if options.area == "all" else options.area, number)
        for number in range(options.start, options.start + options.inputs)
    ][::-1]
    found: dict[tuple[str, int], Outcome] = {}
    with selectors.DefaultSelector() as selector:
        workers: list[Worker] = []

        def hire():
            worker = Worker(options.gigabytes)
            workers.append(worker)
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            worker.give(*queue.pop())

        def dismiss(worker):
            selector.unregister(worker.process.stdout)
            worker.end()
            workers.remove(worker)

        for _ in range(min(options.workers, len(queue))):
            hire()
        while workers:
            for key, _ in selector.select(timeout=1.0):
                worker = key.data
                line = worker.process.stdout.readline()
                area, number = worker.input
                if line:
                    kind, what, said = json.loads(line)
                    _note(found, options, Outcome(kind, area, what, said), number)
                else:
                    worker.process.wait()
                    _note(found, options, Outcome("crash", area, "", f"exit code {worker.process.returncode}"), number)
                if line and queue:
                    worker.give(*queue.pop())
                    continue
                dismiss(worker)
                if queue:
                    hire()
            for worker in list(workers):
                if time.monotonic() - worker.since > options.seconds:
                    area, number = worker.input
                    dismiss(worker)
                    _note(found, options, Outcome("hang", area, "", f"longer than {options.seconds:g} s"), number)
                    if queue:
                        hire()
    return found


def _note(found, options, outcome, number):
    found[outcome.area, number] = outcome
    if not outcome.good or options.all:
        print(f"{outcome.area} {number}: {outcome.kind}: {outcome.what!r:.400} {outcome.said!r:.700}", flush=True)
    if len(found) % 100 == 0:
        print(f"{len(found)} of {options.inputs}", file=sys.stderr, flush=True)


def print_counts(found: dict[tuple[str, int], Outcome]) -> None:
    """The table of outcomes by area."""
    counts = Counter((outcome.area, outcome.kind) for outcome in found.values())
    print(f"{'':24}" + "".join(f"{area:>10}" for area in (*AREAS, "all")))
    for kind in (*GOOD, *BAD):
        row = [counts[area, kind] for area in AREAS]
        print(f"{kind:24}" + "".join(f"{count:10}" for count in (*row, sum(row))))
    row = [sum(counts[area, kind] for kind in (*GOOD, *BAD)) for area in AREAS]
    print(f"{'inputs':24}" + "".join(f"{count:10}" for count in (*row, sum(row))))


def main() -> int:
    """Try the inputs and print the table; exit code 1 where any of them ended badly."""
    options = tyro.cli(Options, prog="python -m tests.fuzz", description=__doc__)
    if options.only is not None:
        outcome = outcome_of(Random(f"{options.area} {options.only}"), options.area, options.quick)
        print(f"{outcome.kind}: {outcome.what!r}\n{outcome.said!r}")
        return 0 if outcome.good else 1
    found = tried(options)
    print_counts(found)
    return 0 if all(outcome.good for outcome in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
