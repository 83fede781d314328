"""Light heads on two frozen encoders: every objective trained, and scored by probes on rows that none has seen.

The third kind of experiment of K26: the features of two unimodal models, few labels, and the question which objective
brings out what the labels measure. Read `_heads_rows` and `_heads_parts` first (which rows serve for what), then
`_heads_confounders` (what is removed from them), `_heads_networks` and `_heads_programs` (what is trained),
`_heads_training` (how), `_heads_probes` and `_heads_scoring` (what is scored), `_heads_work` (all of it in order) and
`_heads_result`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_among, check_confidence, check_count, check_seed
from phasejax.deep._heads_confounders import check_same_confounders, without_confounders
from phasejax.deep._heads_probes import PROBES, applies
from phasejax.deep._heads_result import TrainedHeads
from phasejax.deep._heads_rows import head_rows
from phasejax.deep._heads_saved import Heads
from phasejax.deep._heads_settings import PAIRED, WIDEST, check_training, settings_of
from phasejax.deep._heads_work import HeadWork
from phasejax.io._matching import announce

OBJECTIVES = (*PAIRED, "supervised")


@checked
def train_heads(x: Any, y: Any, labels: Any, *, groups: Any = None, nuisance: Any = None, confounders: Any = None,
                split: Any = None,
                objectives: Sequence[str] = OBJECTIVES, bottleneck: int = 32, widths: Sequence[int] = (128,),
                norm: str | None = "batch", dropout: float = 0.1, learning_rate: float = 1e-3,
                weight_decay: float = 1e-4, alpha: float = 0.5, temperature: float = 0.1,
                grid: Mapping[str, Any] | None = None, batch: int = 64, epochs: int = 200,
                patience: int = 30, seeds: int = 5, probes: Sequence[str] = ("ridge", "logistic"),
                heads: Heads | None = None, label_kind: Any = "auto", confidence: float = 0.9,
                by_position: bool = False, missing: str = "error", seed: int = 0,
                progress: bool | ProgressCallback = False) -> TrainedHeads:
    r"""Train light heads on the frozen features of two models, and score what probes predict from them.

    With encoders E of k outputs and decoders D, objectives minimise over minibatches

    .. math::
        \text{CA: } A(E_x x, E_y y), \quad
        \text{CP x->y: } \mathrm{MSE}(D E_x x,\, y), \quad
        \text{CP y->x: } \mathrm{MSE}(D E_y y,\, x), \quad
        \text{joint: } \alpha A(E_x x, E_y y) + (1 - \alpha)\, \mathrm{MSE}(D E_x x,\, y)

    where A is VICReg (also in joint), InfoNCE or DeepCCA. Supervised heads see a target: cross-entropy or squared
    error of one more linear layer on an encoder of x, of y, or of both side by side. AdamW steps along a cosine to 0; a
    training stops after `patience` epochs without a lower validation loss, and what is kept are the networks of the
    epoch of least validation loss.

    Probes see both encoders' outputs of CA (2k columns), those of the one encoder of CP, of x for joint, and of a
    supervised head for its own target (k columns), and those of both CP encoders ("CP both", 2k columns, the fair
    partner of CA). Beside them stand the features
    themselves: x, y, and x and y side by side. Views are centred and divided by one number each, found on training
    rows; each column by its own where standard deviations differ by more than a factor of 1000.

    Hyper-parameters in `grid` are chosen for each objective by the mean score of the targets' main probes on validation
    rows, over the seeds; test rows are looked at once, with the choice.

    Args:
        x, y: features of the same n things, (n, d_x) and (n, d_y), as `phasejax.diagnosis.diagnose` takes them.
        labels: a target, or several by name: {"type": ..., "age": ...}, each of classes or real values of some of the
            rows, matched as `diagnose` matches labels. A row without a value is left out of that target's probe only.
        groups: which rows belong together (donor, star); no group is in two parts of the split.
        nuisance: likewise as `labels`: what should not be predictable (batch, donor). Its score is leakage. One that is
            the same in all rows of a group is probed among the rows that heads were not trained on.
        confounders: known nuisance of each row, as `diagnose` takes it, that both views and real targets are freed of
            by least squares whose slopes come from the training rows; classes and nuisances stay as they are. All is
            trained and scored a second time on the features as they are (`before` of the result).
        split: for each row "train", "validation" or "test" (or missing, to leave it out), or three lists of row numbers
            in that order. When left out 60, 20 and 20 percent at random, classes of the first target spread evenly, or
            whole groups.
        objectives: names out of `OBJECTIVES`.
        bottleneck: k, outputs of each encoder.
        widths: of the hidden layers of encoders, first to last; () for linear ones. Decoders have them in reverse.
        norm: "batch", "layer" or None, after each hidden layer.
        dropout: share of hidden values that are set to 0 in training.
        learning_rate, weight_decay: of AdamW.
        alpha: weight of alignment in joint.
        temperature: of InfoNCE.
        grid: values to try, by name of these five hyper-parameters; every combination is trained.
        batch: rows in a minibatch.
        epochs, patience: a training stops after so many epochs, or after so many without a better one.
        seeds: trainings from different first parameters and minibatches.
        probes: "ridge", "logistic" (of classes) and "mlp", a small network.
        heads: trained ones (`load_heads`), to be scored on these rows in place of training any; objectives, sizes,
            seeds and slopes of confounders are theirs.
        label_kind: "auto", "class" or "real", or by name of the target.
        confidence: level of the intervals.
        by_position, missing: as in `diagnose`.
        seed: of the split and all trainings; the same seed gives the same numbers on the same machine.
        progress: False, True for bars on a terminal, or a callback.

    Returns:
        Scores, how everything was trained, and the heads.

    Raises:
        ValueError: in one line that names the argument: a split of which parts share rows or groups, a target without
            values in a part, features that are not finite.

    Source: K26, section 4 and appendix, frozen features; here the best networks are restored and test rows choose
        nothing.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((120, 1))
    >>> found = train_heads(np.hstack([shared, rng.standard_normal((120, 3))]), shared + 0.1, shared[:, 0] > 0,
    ...                     objectives=("CP x->y",), bottleneck=1, widths=(), norm=None, seeds=1, epochs=5)
    >>> [one.objective for one in found.scores if one.main]
    ['CP x->y', 'x', 'y', 'x and y']
    """
    check_among("objectives", objectives, OBJECTIVES)
    check_among("probes", probes, PROBES)
    if not objectives or not probes:
        raise ValueError("objectives, probes: expected at least one of each, got none")
    check_count("bottleneck", bottleneck, most=WIDEST)
    check_count("seeds", seeds)
    check_training(widths, norm, batch, epochs, patience)
    check_confidence(confidence)
    check_seed("seed", seed)
    settings = settings_of({"learning_rate": learning_rate, "weight_decay": weight_decay, "dropout": dropout,
                            "alpha": alpha, "temperature": temperature}, grid)
    rows = head_rows(x, y, labels, nuisance=nuisance, groups=groups, split=split, label_kind=label_kind,
                     by_position=by_position, missing=missing, seed=seed, confounders=confounders)
    announce(rows.notes, said=rows.warnings)
    if not all(any(applies(probe, target) for probe in probes) for target in rows.targets):
        raise ValueError("probes: expected ridge or mlp for real values, got logistic alone")
    names = tuple(name for name in OBJECTIVES if name in (objectives if heads is None else heads.objectives))
    check_same_confounders(rows.confounders, heads)

    def work(rows, tell):
        return HeadWork(rows, names, bottleneck, tuple(map(int, widths)), norm, settings, batch, epochs, patience,
                        seeds, tuple(probe for probe in PROBES if probe in probes), confidence, seed, tell, heads).run()

    # Probes run side by side in threads: those of BLAS besides would wait for each other, several times as long.
    with reporting(progress) as tell, threadpool_limits(1, "blas"):
        if not rows.confounders:
            return work(rows, tell)
        cleaned, removal, about, warnings = without_confounders(rows, None if heads is None else heads.confounders)
        announce(warnings, said=warnings)
        before = () if heads is not None else work(
            rows, lambda task, done, total: tell(f"with confounders: {task}", done, total)).scores
        found = work(cleaned, tell)
        return replace(found, data=rows, before=before, confounders=about, warnings=(*found.warnings, *warnings),
                       heads=replace(cast(Heads, found.heads), confounders=removal))
