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

`python -m benchmarks decision_truth` does both. It took four minutes on a GPU; on two cores it takes most of a day.
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
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

if TYPE_CHECKING:
    from benchmarks.report import Row
    from phasejax._core.progress import ProgressCallback

REPRESENTATIONS = ("CA", "CP both", "CA of x", "CA of y", "CP x->y", "CP y->x", "joint", "x", "y", "x and y",
                   "x at k", "y at k")
KS = (4, 8, 16)
SIZES = {"256": (256,), "64": (64,), "256-256": (256, 256)}
SPLITS = 3
TRUTH = Path(__file__).parent / "data" / "decision_truth.json"
# Every array has room for these numbers of rows, columns and outputs.
_ROWS, _COLUMNS, _OUTPUTS = 2000, 80, max(KS)
_TRAINING, _VALIDATION = 0.6, 0.15
_BATCH, _VALIDATED = 256, 400
_RATE, _RIDGE = 1e-3, 1e-3
# Weight decays, relative to the step size. Every objective has the one that its own validation loss prefers: alignment
# on noisy views needs a hundred times as much as prediction, and with one decay for all the comparison would be between
# networks that fit noise and networks that do not.
_DECAYS = (0.3, 3.0, 30.0, 100.0)
_PENALTIES = (0.01, 0.1, 1.0)
_EXACT = jax.lax.Precision.HIGHEST


class Task(NamedTuple):
    """One pair with one split of its rows, or several with a leading axis.

    Args:
        x, y: centred views of mean variance 1, zero beyond their own rows and columns.
        d_x, d_y: their numbers of columns.
        order: numbers of the training rows, then zeros.
        count: number of training rows.
        validated: rows on which the objectives are validated, repeated where there are fewer.
    """

    x: Any
    y: Any
    d_x: Any
    d_y: Any
    order: Any
    count: Any
    validated: Any


def split_rows(labels: np.ndarray, kind: str, seed: int) -> tuple[Any, Any, Any]:
    """Rows for training, for validation and for the score; classes are spread over them alike."""
    from sklearn.model_selection import train_test_split

    def cut(rows, share):
        return train_test_split(rows, test_size=share, random_state=seed,
                                stratify=labels[rows] if kind == "class" else None)

    rest, scored = cut(np.arange(len(labels)), 1 - _TRAINING - _VALIDATION)
    trained, validated = cut(rest, _VALIDATION / (_TRAINING + _VALIDATION))
    return trained, validated, scored


def make_task(x: np.ndarray, y: np.ndarray, trained: np.ndarray, validated: np.ndarray) -> Task:
    """The arrays of a pair and a split, with room for every other pair's."""
    def room(view):
        view = view - view[trained].mean(0)
        padded = np.zeros((_ROWS, _COLUMNS), np.float32)
        padded[:len(view), :view.shape[1]] = view / np.sqrt(np.mean(view[trained] ** 2))
        return padded

    return Task(room(x), room(y), np.int32(x.shape[1]), np.int32(y.shape[1]),
                np.resize(trained, _ROWS).astype(np.int32), np.int32(len(trained)),
                np.resize(validated, _VALIDATED).astype(np.int32))


# Networks: lists of (weights, biases).

def _network(key, inputs, widths, last, used=None):
    """Dense layers; the variance of the first one's weights counts only the inputs that are used."""
    sizes, layers = (inputs, *widths, last), []
    for i, (a, b) in enumerate(pairwise(sizes)):
        fan = used if i == 0 and used is not None else a
        gain = 2.0 if i < len(sizes) - 2 else 1.0
        layers.append((jnp.sqrt(gain / fan) * jax.random.normal(jax.random.fold_in(key, i), (a, b)), jnp.zeros(b)))
    return layers


def _apply(layers, values):
    for weights, biases in layers[:-1]:
        values = jax.nn.relu(values @ weights + biases)
    weights, biases = layers[-1]
    return values @ weights + biases


def _start(key, hidden, d_x, d_y, k):
    """First parameters of every objective; the same encoders for all."""
    keys = jax.random.split(key, 4)
    x = _network(keys[0], _COLUMNS, hidden, _OUTPUTS, d_x)
    y = _network(keys[1], _COLUMNS, hidden, _OUTPUTS, d_y)
    to_x, to_y = (_network(key, _OUTPUTS, hidden[::-1], _COLUMNS, k) for key in keys[2:])
    return {"deepcca": {"x": x, "y": y}, "vicreg": {"x": x, "y": y}, "cp": {"x": x, "decoder": to_y},
            "cp_reverse": {"y": y, "decoder": to_x}, "joint": {"x": x, "y": y, "decoder": to_y}}


def _moments(z_x, z_y):
    z_x, z_y = z_x - z_x.mean(0), z_y - z_y.mean(0)

    def product(a, b):
        return jnp.matmul(a.T, b, precision=_EXACT) / (len(a) - 1)

    return product(z_x, z_x), product(z_x, z_y), product(z_y, z_y)


def _whitened(c_x, m, c_y, mask):
    """Roots of both covariances' inverses, and the correlations of the outputs that they whiten."""
    def root(c):
        # The ridge is relative to the mean variance of the outputs in use; the others get 1.
        ridge = _RIDGE * jnp.trace(c) / mask.sum() + 1e-6
        lower = jnp.linalg.cholesky(c + jnp.diag(ridge * mask + 1 - mask))
        return jax.scipy.linalg.solve_triangular(lower, jnp.eye(len(c)), lower=True)

    w_x, w_y = root(c_x), root(c_y)
    return w_x, w_y, jnp.matmul(jnp.matmul(w_x, m, precision=_EXACT), w_y.T, precision=_EXACT)


def _deepcca(z_x, z_y, mask):
    """Minus the sum of squared canonical correlations, over k: it has the optima of DeepCCA."""
    return -jnp.sum(_whitened(*_moments(z_x, z_y), mask)[2] ** 2) / mask.sum()


def _deepcca_validated(fitted, held, mask):
    """Minus the squared correlations that maps fitted to other rows reach on held-out ones, over k.

    With T the fitted correlations of the whitened outputs, and A, M, B their held-out second moments, minus

        2 tr T'M - tr T'A T B

    whose second term is what directions cost that do not generalise.

    Source: the VAMP-E score of Wu and Noe 2020.
    """
    w_x, w_y, t = _whitened(*_moments(*fitted), mask)
    c_x, m, c_y = _moments(*held)
    a, m, b = w_x @ c_x @ w_x.T, w_x @ m @ w_y.T, w_y @ c_y @ w_y.T
    return -(2 * jnp.sum(t * m) - jnp.sum((a @ t) * (t @ b))) / mask.sum()


def _vicreg(z_x, z_y, mask):
    k = mask.sum()
    total = 25 * jnp.sum(jnp.mean((z_x - z_y) ** 2, 0)) / k
    c_x, _, c_y = _moments(z_x, z_y)
    for c in (c_x, c_y):
        variances = jnp.diag(c)
        total += (25 * jnp.sum(mask * jax.nn.relu(1 - jnp.sqrt(variances + 1e-4)))
                  + jnp.sum(c**2) - jnp.sum(variances**2)) / k
    return total


def _predicted(network, view, target, columns, mask):
    """Mean squared error over the columns that the target has."""
    error = (_apply(network["decoder"], mask * _apply(network["x" if "x" in network else "y"], view)) - target) ** 2
    return jnp.sum(jnp.where(jnp.arange(_COLUMNS) < columns, error, 0)) / (len(view) * columns)


def _losses(networks, task, rows, mask, fitted=None):
    """Loss of every objective; on validation rows if `fitted` are the rows to which the networks were fitted."""
    x, y = task.x[rows], task.y[rows]

    def outputs(name, x=x, y=y):
        return mask * _apply(networks[name]["x"], x), mask * _apply(networks[name]["y"], y)

    def aligned(name):
        if fitted is None:
            return _deepcca(*outputs(name), mask)
        return _deepcca_validated(outputs(name, task.x[fitted], task.y[fitted]), outputs(name), mask)

    return {"deepcca": aligned("deepcca"), "vicreg": _vicreg(*outputs("vicreg"), mask),
            "cp": _predicted(networks["cp"], x, y, task.d_y, mask),
            "cp_reverse": _predicted(networks["cp_reverse"], y, x, task.d_x, mask),
            "joint": _predicted(networks["joint"], x, y, task.d_y, mask) + aligned("joint")}


def _each(function, values):
    """The function of every value: batched, but on a CPU, where two factorisations in a batched program can hang."""
    return jax.lax.map(function, values) if jax.default_backend() == "cpu" else jax.vmap(function)(values)


def _train(key, task: Task, k, *, hidden, steps, checks):
    """What has the least validation loss over steps and decays, by objective: outputs on all rows, step and decay."""
    decays = jnp.array(_DECAYS)
    codes, least, reached = cast(Any, _each(
        lambda decay: _train_with(decay, key, task, k, hidden=hidden, steps=steps, checks=checks), decays))
    chosen = {name: jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf)) for name, values in least.items()}
    codes = {name: jax.tree.map(lambda part, name=name: part[chosen[name]], codes[name]) for name in codes}
    return (codes, {name: reached[name][chosen[name]] for name in chosen},
            {name: decays[chosen[name]] for name in chosen})


def _train_with(decay, key, task, k, *, hidden, steps, checks):
    """Outputs on all rows of the networks with the least validation loss over the steps, that loss, and its step."""
    mask = (jnp.arange(_OUTPUTS) < k).astype(jnp.float32)
    networks = _start(key, hidden, task.d_x, task.d_y, k)
    every = steps // checks
    optimizer = optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=decay)

    def validated(networks):
        return _losses(networks, task, task.validated, mask, fitted=task.order[:1024])

    def step(carry, key):
        networks, state = carry
        rows = task.order[jax.random.randint(key, (_BATCH,), 0, task.count)]
        slope = jax.grad(lambda networks: sum(_losses(networks, task, rows, mask).values()))(networks)
        change, state = optimizer.update(slope, state, networks)
        return (cast(Any, optax.apply_updates(networks, change)), state), None

    def check(carry, i):
        networks, state, best, least, reached = carry
        (networks, state), _ = jax.lax.scan(step, (networks, state),
                                            jax.random.split(jax.random.fold_in(key, i), every))
        found = validated(networks)
        better = {name: found[name] < least[name] for name in found}
        best = {name: jax.tree.map(lambda a, b, name=name: jnp.where(better[name], a, b), networks[name], best[name])
                for name in found}
        least = {name: jnp.where(better[name], found[name], least[name]) for name in found}
        reached = {name: jnp.where(better[name], (i + 1) * every, reached[name]) for name in found}
        return (networks, state, best, least, reached), None

    first = validated(networks)
    carry = (networks, optimizer.init(networks), networks, first, {name: 0 for name in first})
    (_, _, best, least, reached), _ = jax.lax.scan(check, carry, jnp.arange(checks))
    codes = {name: {view: mask * _apply(best[name][view], getattr(task, view)) for view in ("x", "y")
                    if view in best[name]} for name in best}
    return codes, least, reached


def trained_codes(tasks: Task, hidden: tuple[int, ...], *, steps: int, checks: int, seeds: np.ndarray):
    """Codes (tasks, bottlenecks, rows, outputs) by objective and view; steps and decays of each objective.

    Args:
        tasks: several, with a leading axis.
        hidden: widths of the encoders' hidden layers.
        steps: gradient steps, a multiple of `checks`.
        checks: validations.
        seeds: one for each task.
    """
    return _program(hidden, steps, checks)(seeds, tasks, np.array(KS, np.int32))


_PROGRAMS: dict[tuple, Any] = {}


def _program(hidden, steps, checks):
    def one(given):
        seed, task = given
        return lambda k: _train(jax.random.key(seed), task, k, hidden=hidden, steps=steps, checks=checks)

    def program(seeds, tasks, ks):
        return _each(lambda given: _each(one(given), ks), (seeds, tasks))

    key = hidden, steps, checks
    if key not in _PROGRAMS:
        _PROGRAMS[key] = jax.jit(program)
    return _PROGRAMS[key]


# Probes, in processes of their own.

class Probed(NamedTuple):
    """One split of a pair with codes to be probed.

    Args:
        codes: representation and bottleneck to codes of all rows, shape (n, any).
        labels: of all rows.
        kind: "class" or "real".
        rows: for fitting, for the choice of a penalty and of CA's loss, and for the score.
    """

    codes: Mapping[tuple[str, int], np.ndarray]
    labels: np.ndarray
    kind: str
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]


def probe(given: Probed) -> dict[tuple[str, int], tuple[float, float]]:
    """Score on the validation rows and on the scored rows, of every representation."""
    import warnings

    warnings.simplefilter("ignore")
    return {name: _probe(np.asarray(code, np.float64), given) for name, code in given.codes.items()}


def _probe(code, given):
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score

    fitted, chosen, scored = given.rows
    scale = code[fitted].std(0)
    code = (code - code[fitted].mean(0)) / np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, np.inf)
    labels = given.labels
    if not np.isfinite(code).all():
        return float("nan"), float("nan")
    if given.kind == "real":
        ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(code[fitted], labels[fitted])
        on_chosen, on_scored = (float(r2_score(labels[rows], ridge.predict(code[rows]))) for rows in (chosen, scored))
        return on_chosen, on_scored
    fits = [LogisticRegression(C=c, max_iter=300).fit(code[fitted], labels[fitted]) for c in _PENALTIES]
    losses = [log_loss(labels[chosen], fit.predict_proba(code[chosen]), labels=fit.classes_) for fit in fits]
    best = fits[int(np.argmin(losses))]
    on_chosen, on_scored = (float(balanced_accuracy_score(labels[rows], best.predict(code[rows])))
                            for rows in (chosen, scored))
    return on_chosen, on_scored


def _raw(x, y, trained):
    """The views whole, side by side, and by their first principal components."""
    found = {("x", 0): x, ("y", 0): y, ("x and y", 0): np.hstack([x, y])}
    for name, view in (("x at k", x), ("y at k", y)):
        rows = view - view[trained].mean(0)
        directions = np.linalg.svd(rows[trained], full_matrices=False)[2]
        found |= {(name, k): rows @ directions[:k].T for k in KS}
    return found


def _coded(codes, task, n):
    """Codes of one task by representation and bottleneck, of the n rows that there are."""
    found = {}
    for i, k in enumerate(KS):
        z = {name: {view: values[task, i, :n, :k] for view, values in by.items()} for name, by in codes.items()}
        for loss in ("deepcca", "vicreg"):
            found |= {(f"CA {loss}", k): np.hstack([z[loss]["x"], z[loss]["y"]]),
                      (f"CA of x {loss}", k): z[loss]["x"], (f"CA of y {loss}", k): z[loss]["y"]}
        found |= {("CP both", k): np.hstack([z["cp"]["x"], z["cp_reverse"]["y"]]), ("CP x->y", k): z["cp"]["x"],
                  ("CP y->x", k): z["cp_reverse"]["y"], ("joint", k): z["joint"]["x"]}
    return found


# Everything together.

def train_all(pairs: Mapping[str, Mapping[str, np.ndarray]], file: Path, *, sizes: Iterable[str] = tuple(SIZES),
              splits: int = SPLITS, steps: int = 1200, checks: int = 40, group: int = 13, limit: float = np.inf,
              processes: int = 2, command: str = "") -> dict[str, Any]:
    """Train and probe; what is done is in `file` after each group of pairs, and is not done again.

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
    settings = {"splits": splits, "steps": steps, "checks": checks, "decays": list(_DECAYS), "ks": list(KS)}
    found = json.loads(file.read_text()) if file.is_file() else {}
    if found.get("settings") != settings:
        found = {"command": command, "device": "", "settings": settings, "pairs": {}}
    found["device"] = str(jax.devices()[0].device_kind)

    names = list(pairs)
    groups = [names[start:start + group] for start in range(0, len(names), group)]
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: list[tuple[str, list[str], list[Future], dict]] = []
        for size in ("raw", *sizes):
            for members in groups:
                todo = [name for name in members if size not in found["pairs"].get(name, {}).get("sizes", {})]
                if not todo:
                    continue
                if time.monotonic() - begin > limit:
                    print(f"{size}: left out {todo}", flush=True)
                    continue
                waiting.append(_begin(pool, pairs, todo, size, splits, steps, checks, group))
                print(f"{time.monotonic() - begin:6.0f} s: trained {size}, {', '.join(todo)}", flush=True)
                while waiting and all(future.done() for future in waiting[0][2]):
                    _finish(found, file, pairs, splits, *waiting.pop(0))
        for rest in waiting:
            _finish(found, file, pairs, splits, *rest)
            print(f"{time.monotonic() - begin:6.0f} s: probed {rest[0]}, {', '.join(rest[1])}", flush=True)
    return found


def _begin(pool, pairs, names, size, splits, steps, checks, group):
    """Train the networks of some pairs and hand their codes to the processes that probe."""
    rows = {(name, s): split_rows(pairs[name]["labels"], str(pairs[name]["kind"]), s)
            for name in names for s in range(splits)}
    reached = {}
    if size == "raw":
        codes = [_raw(pairs[name]["x"], pairs[name]["y"], rows[name, s][0]) for name, s in rows]
    else:
        tasks = [make_task(pairs[name]["x"], pairs[name]["y"], *rows[name, s][:2]) for name, s in rows]
        # Every group has the same shapes, so that one program serves all.
        tasks += tasks[:1] * (group * splits - len(tasks))
        seeds = np.resize(np.arange(splits), len(tasks)).astype(np.uint32)
        outputs, reached, decays = cast(Any, jax.device_get(trained_codes(
            jax.tree.map(lambda *parts: np.stack(parts), *tasks), SIZES[size], steps=steps, checks=checks,
            seeds=seeds)))
        reached = {name: {objective: [[round(float(np.median(values[i * splits:(i + 1) * splits, j])), 1)
                                       for j in range(len(KS))] for values in (steps_of, decays[objective])]
                          for objective, steps_of in reached.items()} for i, name in enumerate(names)}
        codes = [_coded(outputs, i, len(pairs[name]["x"])) for i, (name, _) in enumerate(rows)]
    futures = [pool.submit(probe, Probed(code, pairs[name]["labels"], str(pairs[name]["kind"]), rows[name, s]))
               for code, (name, s) in zip(codes, rows, strict=True)]
    return size, names, futures, reached


def _finish(found, file, pairs, splits, size, names, futures, reached):
    """Wait for the probes of some pairs and write them to the file."""
    for i, name in enumerate(names):
        scores = [future.result() for future in futures[i * splits:(i + 1) * splits]]
        entry = found["pairs"].setdefault(name, {"kind": str(pairs[name]["kind"]), "rows": len(pairs[name]["x"]),
                                                 "sizes": {}})
        table: dict[str, dict[str, list]] = {}
        for representation, k in scores[0]:
            chosen, scored = ([round(split[representation, k][part], 3) for split in scores] for part in (0, 1))
            # On validation rows only the losses of CA are compared.
            both = representation.startswith("CA ")
            table.setdefault(representation, {})[str(k)] = [chosen, scored] if both else [scored]
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


def read_truth(file: Path = TRUTH) -> dict[str, dict[int, dict[str, np.ndarray]]]:
    """Scores (sizes, splits) of each of `REPRESENTATIONS`, by pair and bottleneck.

    CA is trained with two losses; the one whose probes are better on the validation rows, over sizes and splits,
    counts, for each pair and bottleneck.

    Args:
        file: written by `train_all`.
    """
    found: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for name, entry in json.loads(file.read_text())["pairs"].items():
        sizes = {size: part["scores"] for size, part in entry["sizes"].items() if size != "raw"}
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
