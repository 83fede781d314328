"""Which representation of trained networks predicts the labels best: the truth of `python -m benchmarks decision`.

For every pair of `decision_pairs`, split of its rows and bottleneck k, networks of three sizes are trained without
labels: aligned ones (CA) with DeepCCA and with VICReg, ones that predict y from x (CP x->y) and x from y, and joint
ones that predict y from an encoder of x which is aligned with one of y. What counts is the score of a probe that is
fitted to the codes and labels of the training rows: balanced accuracy of a logistic regression or R^2 of ridge
regression, on held-out rows. The raw views, and as many of their principal components as the networks have outputs,
are probed in the same way.

All networks of a size, whatever their pair, split, bottleneck and objective, have the same arrays: columns beyond a
view's own and outputs beyond k are held at zero. They are trained together in one compiled program, which suits a GPU:

    python -m benchmarks.decision_truth dump PAIRS.npz        # the pairs in one file
    python -m benchmarks.decision_truth train PAIRS.npz FILE  # reads it; needs only jax, optax and scikit-learn

`python -m benchmarks decision_truth` does both. It took nine minutes on a GPU; on two cores it takes a day and more.
`train ... FILE --splits N` with a FILE of fewer splits trains those that it lacks.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from benchmarks.decision_networks import DECAYS, KS, make_task, trained_codes
from benchmarks.decision_probes import Probed, coded, probe, raw_views, split_rows

if TYPE_CHECKING:
    from benchmarks.report import Row
    from phasejax._core.progress import ProgressCallback

REPRESENTATIONS = ("CA", "CP both", "CA of x", "CA of y", "CP x->y", "CP y->x", "joint", "x", "y", "x and y",
                   "x at k", "y at k")
SIZES = {"256": (256,), "64": (64,), "256-256": (256, 256)}
SPLITS = 5
TRUTH = Path(__file__).parent / "data" / "decision_truth.json"


def train_all(pairs: Mapping[str, Mapping[str, np.ndarray]], file: Path, *, sizes: Iterable[str] = tuple(SIZES),
              splits: int = SPLITS, steps: int = 1200, checks: int = 40, group: int = 13, limit: float = np.inf,
              processes: int = 2, command: str = "") -> dict[str, Any]:
    """Train and probe; what is done is in `file` after each group of pairs, and is not done again.

    A file of fewer splits is gone on with: the scores of the splits that it lacks are added to those that it has.

    Args:
        pairs: x, y, labels and kind of each pair, by name.
        file: JSON of the results; see `read_truth`.
        sizes: names in `SIZES`, in the order in which they are trained.
        splits: splits of each pair's rows.
        steps, checks: gradient steps, and validations among them.
        group: pairs that are trained at a time.
        limit: seconds after which no group is begun any more.
        processes: processes that probe.
        command: command that is written into the file.
    """
    begin = time.monotonic()
    settings = {"steps": steps, "checks": checks, "decays": list(DECAYS), "ks": list(KS)}
    found = json.loads(file.read_text()) if file.is_file() else {}
    if found.get("settings") != settings:
        found = {"settings": settings, "pairs": {}}
    found = {"command": command, "device": str(jax.devices()[0].device_kind)} | found

    names = list(pairs)
    groups = [names[start:start + group] for start in range(0, len(names), group)]
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: list[tuple[range, str, list[str], list[Future], dict]] = []
        for size in ("raw", *sizes):
            for members in groups:
                done = {name: _splits_done(found, name, size) for name in members}
                todo = [name for name in members if done[name] < splits]
                if not todo:
                    continue
                if time.monotonic() - begin > limit:
                    print(f"{size}: left out {todo}", flush=True)
                    continue
                # The pairs of a group have as many new splits each; those of which one has more are done again.
                numbers = range(min(done[name] for name in todo), splits)
                waiting.append(_begin(pool, pairs, todo, size, numbers, steps, checks, group))
                print(f"{time.monotonic() - begin:6.0f} s: trained {size}, {', '.join(todo)}", flush=True)
                while waiting and all(future.done() for future in waiting[0][3]):
                    _finish(found, file, pairs, *waiting.pop(0))
        for rest in waiting:
            _finish(found, file, pairs, *rest)
            print(f"{time.monotonic() - begin:6.0f} s: probed {rest[1]}, {', '.join(rest[2])}", flush=True)
    return found


def _splits_done(found, name, size):
    """How many splits of a pair the file has for networks of a size."""
    part = found["pairs"].get(name, {}).get("sizes", {}).get(size)
    return 0 if part is None else len(next(iter(next(iter(part["scores"].values())).values()))[-1])


def _begin(pool, pairs, names, size, numbers, steps, checks, group):
    """Train the networks of some pairs on splits and hand their codes to the processes that probe."""
    splits = len(numbers)
    rows = {(name, s): split_rows(pairs[name]["labels"], str(pairs[name]["kind"]), s)
            for name in names for s in numbers}
    reached = {}
    if size == "raw":
        codes = [raw_views(pairs[name]["x"], pairs[name]["y"], rows[name, s][0]) for name, s in rows]
    else:
        tasks = [make_task(pairs[name]["x"], pairs[name]["y"], *rows[name, s][:2]) for name, s in rows]
        # Every group has the same shapes, so that one program serves all.
        tasks += tasks[:1] * (group * splits - len(tasks))
        seeds = np.resize(np.array(numbers), len(tasks)).astype(np.uint32)
        outputs, reached, decays = cast(Any, jax.device_get(trained_codes(
            jax.tree.map(lambda *parts: np.stack(parts), *tasks), SIZES[size], steps=steps, checks=checks,
            seeds=seeds)))
        reached = {name: {objective: [[round(float(np.median(values[i * splits:(i + 1) * splits, j])), 1)
                                       for j in range(len(KS))] for values in (steps_of, decays[objective])]
                          for objective, steps_of in reached.items()} for i, name in enumerate(names)}
        codes = [coded(outputs, i, len(pairs[name]["x"])) for i, (name, _) in enumerate(rows)]
    futures = [pool.submit(probe, Probed(code, pairs[name]["labels"], str(pairs[name]["kind"]), rows[name, s]))
               for code, (name, s) in zip(codes, rows, strict=True)]
    return numbers, size, names, futures, reached


def _finish(found, file, pairs, numbers, size, names, futures, reached):
    """Wait for the probes of some pairs and add their scores to those of earlier splits in the file."""
    splits = len(numbers)
    for i, name in enumerate(names):
        scores = [future.result() for future in futures[i * splits:(i + 1) * splits]]
        entry = found["pairs"].setdefault(name, {"kind": str(pairs[name]["kind"]), "rows": len(pairs[name]["x"]),
                                                 "sizes": {}})
        earlier = entry["sizes"].get(size, {"scores": {}})["scores"]
        table: dict[str, dict[str, list]] = {}
        for representation, k in scores[0]:
            chosen, scored = ([round(split[representation, k][part], 3) for split in scores] for part in (0, 1))
            # On validation rows only the losses of CA are compared.
            both = representation.startswith("CA ")
            before = earlier.get(representation, {}).get(str(k), [[], []] if both else [[]])
            table.setdefault(representation, {})[str(k)] = [
                old[:numbers[0]] + new for old, new in zip(before, [chosen, scored] if both else [scored], strict=True)]
        entry["sizes"][size] = {"scores": table, "steps_and_decays": reached.get(name, {})}
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_text(_compact(found))
    unfinished.replace(file)


def _compact(found):
    """JSON with one line for each pair and size."""
    lines = json.dumps(found | {"pairs": {}}, indent=1)[:-4].rstrip().removesuffix('"pairs":').rstrip()
    pairs = ",\n".join(
        json.dumps(name) + ": {" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items()
                                             if key != "sizes")
        + ', "sizes": {\n' + ",\n".join(f"{json.dumps(size)}: {json.dumps(value, separators=(',', ':'))}"
                                      for size, value in entry["sizes"].items()) + "}}"
        for name, entry in found["pairs"].items())
    return f'{lines}\n "pairs": {{\n{pairs}\n}}}}\n'


def read_truth(file: Path = TRUTH, size: str | None = None) -> dict[str, dict[int, dict[str, np.ndarray]]]:
    """Scores (sizes, splits) of each of `REPRESENTATIONS`, by pair and bottleneck.

    CA is trained with two losses; the one whose probes are better on the validation rows, over sizes and splits,
    counts, for each pair and bottleneck.

    Args:
        file: written by `train_all`.
        size: networks of this size alone count; all when left out.
    """
    found: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for name, entry in json.loads(file.read_text())["pairs"].items():
        sizes = {one: part["scores"] for one, part in entry["sizes"].items() if one != "raw" and size in (None, one)}
        raw = entry["sizes"].get("raw", {"scores": {}})["scores"]
        if not sizes or not raw:
            continue
        for k in KS:
            def values(representation, part, k=k, sizes=sizes):
                return np.array([scores[representation][str(k)][part] for scores in sizes.values()], float)

            losses = {}
            for representation in ("CA", "CA of x", "CA of y"):
                losses[representation] = max(("deepcca", "vicreg"), key=lambda loss, r=representation: np.nan_to_num(
                    values(f"{r} {loss}", 0).mean(), nan=-np.inf))
            table = {r: values(f"{r} {loss}", -1) for r, loss in losses.items()}
            table |= {r: values(r, -1) for r in ("CP both", "CP x->y", "CP y->x", "joint")}
            for r in ("x", "y", "x and y", "x at k", "y at k"):
                table[r] = np.broadcast_to(raw[r][str(k if r.endswith("k") else 0)][-1], table["CA"].shape)
            found.setdefault(name, {})[k] = {r: table[r] for r in REPRESENTATIONS}
    return found


def run(store: Path | None = None, progress: "bool | ProgressCallback" = False, names: Sequence[str] | None = None,
        **options: Any) -> "list[Row]":
    """Train everything, and one row for each pair, bottleneck and representation.

    Args:
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: told which pairs are done.
        names: of pairs; all whose data are there when left out.
        options: those of `train_all`.
    """
    from benchmarks import decision_pairs
    from benchmarks.report import row

    names = list(decision_pairs.available()) if names is None else list(names)
    pairs = {name: decision_pairs.load(name)._asdict() for name in names}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder if store is None else store) / TRUTH.name
        file.parent.mkdir(parents=True, exist_ok=True)
        train_all(pairs, file, command="python -m benchmarks decision_truth", **options)
        found = read_truth(file)
    return [row(f"{name}, k = {k}, {representation}", "score", scores.mean(), "1")
            for name, by_k in found.items() for k, by in by_k.items() for representation, scores in by.items()]


def dump(file: Path, names: Sequence[str] | None = None) -> None:
    """Write pairs to one .npz file, for a machine that does not have what makes them."""
    from benchmarks import decision_pairs

    arrays = {}
    for name in names or decision_pairs.available():
        pair = decision_pairs.load(name)
        print(f"{name}: {pair.x.shape}, {pair.y.shape}, {pair.kind}, {len(np.unique(pair.labels))}", flush=True)
        arrays |= {f"{name}/x": pair.x.astype(np.float32), f"{name}/y": pair.y.astype(np.float32),
                   f"{name}/labels": pair.labels, f"{name}/kind": np.array(pair.kind)}
    np.savez_compressed(file, **arrays)


def undump(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The pairs of a file that `dump` wrote."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(file) as arrays:
        for key in arrays.files:
            name, field = key.rsplit("/", 1)
            found.setdefault(name, {})[field] = arrays[key]
    return found


def main(args: list[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decision_truth", description="Train the truth.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("dump").add_argument("pairs", type=Path)
    train = commands.add_parser("train")
    train.add_argument("pairs", type=Path)
    train.add_argument("file", type=Path)
    train.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    train.add_argument("--names", nargs="+")
    for name, default in (("splits", SPLITS), ("steps", 1200), ("checks", 40), ("group", 13),
                          ("processes", os.cpu_count())):
        train.add_argument(f"--{name}", type=int, default=default)
    train.add_argument("--limit", type=float, default=np.inf)
    options = parser.parse_args(args)
    if options.command == "dump":
        dump(options.pairs)
        return 0
    pairs = undump(options.pairs)
    pairs = {name: pairs[name] for name in options.names or pairs}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    train_all(pairs, options.file, sizes=options.sizes, splits=options.splits, steps=options.steps,
              checks=options.checks, group=options.group, limit=options.limit, processes=options.processes,
              command="python -m benchmarks.decision_truth " + " ".join(args or sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
