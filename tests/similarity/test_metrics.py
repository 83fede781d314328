"""Similarity metrics against NumPy, entry by entry in float64, and their invariances."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from phasejax import similarity
from phasejax.similarity import METRICS, cka, cknna, nearest_neighbours, svcca
from phasejax.similarity._cka import _pairs_of_rows
from phasejax.similarity._inputs import map_row_blocks
from phasejax.similarity._neighbours import LIST_METRICS, top_k_indices

RNG = np.random.default_rng(0)
N, D_X, D_Y, K = 41, 6, 5, 4


def draw(n=N, d_x=D_X, d_y=D_Y, rng=RNG):
    """Views with means, columns of different size and something in common."""
    x = rng.standard_normal((n, d_x)) @ rng.standard_normal((d_x, d_x)) + rng.standard_normal(d_x)
    y = x @ rng.standard_normal((d_x, d_y)) + 2 * rng.standard_normal((n, d_y)) + 1.0
    return x, y


X, Y = draw()
WIDE = draw(23, 40, 31)


@jax.jit
def every(x, y):
    """All metrics in one program, since most of the time of these tests goes into compiling."""
    return {name: metric(x, y) for name, metric in METRICS.items()}


@pytest.fixture(scope="module")
def values():
    with jax.enable_x64(True):
        return jax.tree.map(float, every(X, Y))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


# Oracles, written entry by entry


def lists(x, k, distance):
    found = []
    for i, row in enumerate(x):
        def far(j, row=row):
            if distance == "euclidean":
                return np.linalg.norm(row - x[j])
            return -row @ x[j] / np.linalg.norm(row) / np.linalg.norm(x[j])
        found.append(sorted((j for j in range(len(x)) if j != i), key=far)[:k])
    return found


@cache
def lcs(a, b):
    if not a or not b:
        return 0
    return lcs(a[1:], b[1:]) + 1 if a[0] == b[0] else max(lcs(a[1:], b), lcs(a, b[1:]))


@cache
def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


def of_neighbours(name, x, y, k, distance="cosine"):
    pairs = [tuple(map(tuple, pair)) for pair in zip(lists(x, k, distance), lists(y, k, distance), strict=True)]
    match name:
        case "mutual_knn":
            return np.mean([len({*a} & {*b}) / k for a, b in pairs])
        case "cycle_knn":
            return np.mean([any(i in pairs[j][0] for j in b) for i, (_, b) in enumerate(pairs)])
        case "lcs_knn":
            return np.mean([lcs(a, b) / k for a, b in pairs])
        case _:
            return 1 - np.mean([levenshtein(a, b) / k for a, b in pairs])


def hsic_unbiased(k, l):  # noqa: E741
    """The U-statistic of Song et al. 2012: the mean, over 4 different rows, of its kernel."""
    n, total = len(k), 0.0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def hsic_masked(k, l):  # noqa: E741
    n, off = len(k), 1 - np.eye(len(k))
    k, l, one = k * off, l * off, np.ones(len(k))  # noqa: E741
    return np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 * one @ k @ l @ one / (n - 2)


def hsic_biased(k, l):  # noqa: E741
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ l @ h)


def gram(x, kernel, bandwidth=1.0):
    if kernel == "linear":
        return x @ x.T
    squares = np.array([[np.sum((a - b) ** 2) for b in x] for a in x])
    return np.exp(-squares / (2 * bandwidth**2 * np.median(squares[np.triu_indices(len(x), 1)])))


def numpy_cka(x, y, kernel="linear", unbiased=False, bandwidth=1.0):
    k, l, hsic = gram(x, kernel, bandwidth), gram(y, kernel, bandwidth), hsic_unbiased if unbiased else hsic_biased  # noqa: E741
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def numpy_cknna(x, y, k, distance):
    masks, kernels = [], []
    for view in (x, y):
        mask = np.zeros((len(view), len(view)))
        for i, near in enumerate(lists(view, k, distance)):
            mask[i, near] = 1
        rows = view / np.linalg.norm(view, axis=1, keepdims=True) if distance == "cosine" else view - view.mean(0)
        masks.append(mask)
        kernels.append(rows @ rows.T)
    both = masks[0] * masks[1]
    own = [hsic_masked(m * g, m * g) for m, g in zip(masks, kernels, strict=True)]
    return hsic_masked(both * kernels[0], both * kernels[1]) / np.sqrt(own[0] * own[1])


def numpy_svcca(x, y, components, standardise=False):
    bases = []
    for view in (x, y):
        view = view - view.mean(0)
        view = view / view.std(0) if standardise else view
        bases.append(np.linalg.svd(view, full_matrices=False)[0][:, :components])
    return np.mean(np.cos(scipy.linalg.subspace_angles(*bases)))


def numpy_canonical(x, y):
    return np.mean(np.cos(scipy.linalg.subspace_angles(x - x.mean(0), y - y.mean(0))))


def numpy_distance(x, y):
    matrices = [np.array([[np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for b in view] for a in view])
                for view in (x - x.mean(0), y - y.mean(0))]
    return 1 - np.vdot(*matrices) / np.linalg.norm(matrices[0]) / np.linalg.norm(matrices[1])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_neighbours_are_the_nearest(distance):
    for view, k in ((X, K), (WIDE[0], 22)):
        found = nearest_neighbours(view, k=k, distance=distance, block=16)
        np.testing.assert_array_equal(found, lists(view, k, distance))


@pytest.mark.parametrize("name", LIST_METRICS)
def test_neighbour_metrics_compare_lists(name, values):
    assert values[name] == pytest.approx(of_neighbours(name, X, Y, 10), abs=1e-12)


def test_neighbour_metrics_take_other_distances_and_numbers():
    found = similarity.mutual_knn(X, Y, k=3, distance="euclidean")
    assert float(found) == pytest.approx(of_neighbours("mutual_knn", X, Y, 3, "euclidean"), abs=1e-12)


def test_lists_are_compared_as_lists():
    """Random lists, more alike than neighbours of few rows ever are."""
    rng = np.random.default_rng(1)
    near_x, near_y = (jnp.array([rng.permutation(8)[:5] for _ in range(60)]) for _ in range(2))
    pairs = [tuple(map(tuple, pair)) for pair in zip(near_x.tolist(), near_y.tolist(), strict=True)]
    assert float(LIST_METRICS["lcs_knn"](near_x, near_y)) == pytest.approx(np.mean([lcs(*p) for p in pairs]) / 5)
    assert float(LIST_METRICS["edit_similarity_knn"](near_x, near_y)) == pytest.approx(
        1 - np.mean([levenshtein(*p) for p in pairs]) / 5)
    assert len({lcs(*p) for p in pairs}) >= 4
    assert len({levenshtein(*p) for p in pairs}) >= 4
    near_x, near_y = (jnp.array([rng.permutation(top)[:5] for _ in range(60)]) for top in (60, 20))
    x, y = near_x.tolist(), near_y.tolist()
    returned = [any(i in x[j] for j in y[i]) for i in range(60)]
    assert float(LIST_METRICS["cycle_knn"](near_x, near_y)) == pytest.approx(np.mean(returned), rel=1e-12)
    assert np.mean(returned) != np.mean([any(i in y[j] for j in x[i]) for i in range(60)])


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_cka_equals_the_kernels(kernel, values):
    for views in ((X[:9], Y[:9]), (WIDE[0][:9], WIDE[1][:9])) if kernel == "linear" else ((X[:9], Y[:9]),):
        for unbiased in (False, True):
            found = cka(*views, kernel=kernel, unbiased=unbiased, block=5,
                        **({"bandwidth": 0.7} if kernel == "rbf" else {}))
            expected = numpy_cka(*views, kernel, unbiased, 0.7)
            assert float(found) == pytest.approx(expected, rel=1e-10), (unbiased, views[0].shape)
    name = "cka" if kernel == "linear" else "cka_rbf"
    assert values[name] == pytest.approx(numpy_cka(X, Y, kernel), rel=1e-10)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_cknna_equals_masked_kernels(distance, values):
    found = cknna(X, Y, k=K, distance=distance, block=10)
    assert float(found) == pytest.approx(numpy_cknna(X, Y, K, distance), rel=1e-9)
    if distance == "euclidean":
        whole = cknna(X, Y, k=N - 1, distance=distance)
        assert float(whole) == pytest.approx(values["cka_unbiased"], rel=1e-9)


def test_correlations_equal_principal_angles(values):
    assert values["svcca"] == pytest.approx(numpy_svcca(X, Y, 5), rel=1e-9)
    for views, components, standardise in (((X, Y), 3, True), (WIDE, 6, False)):
        found = svcca(*views, components=components, standardise=standardise)
        assert float(found) == pytest.approx(numpy_svcca(*views, components, standardise), rel=1e-9)
    assert values["mean_canonical_correlation"] == pytest.approx(numpy_canonical(X, Y), rel=1e-9)
    assert values["correlation_matrix_distance"] == pytest.approx(numpy_distance(X, Y), rel=1e-9)


def test_neighbours_in_groups_are_all_there():
    """The search by groups of columns, with many ties, against a stable sort."""
    values = np.random.default_rng(2).integers(0, 200, (50, 777)).astype(float)
    found = jax.jit(top_k_indices, static_argnums=1)(jnp.asarray(values), 7)
    np.testing.assert_array_equal(found, np.argsort(-values, axis=1, kind="stable")[:, :7])


@pytest.mark.parametrize("m", [2, 3, 4, 5, 10, 11])
def test_every_pair_of_rows_comes_once(m):
    found = np.stack(_pairs_of_rows(m), axis=1)
    assert sorted(map(tuple, found)) == list(itertools.combinations(range(m), 2))


# Invariances

ROTATIONS = [scipy.linalg.qr(RNG.standard_normal((d, d)))[0] for d in (D_X, D_Y)]


@pytest.mark.parametrize("name", METRICS)
def test_rotation_scale_and_the_order_of_rows_do_not_matter(name, values):
    shuffled = np.random.default_rng(3).permutation(N)
    for x, y in ((X @ ROTATIONS[0], Y @ ROTATIONS[1]), (1e-3 * X, 250.0 * Y), (X[shuffled], Y[shuffled])):
        assert float(every(x, y)[name]) == pytest.approx(values[name], rel=1e-8, abs=1e-10)
    assert 0 <= values[name] <= 1


@pytest.mark.parametrize("name", METRICS)
def test_a_view_is_like_itself(name):
    """Also with another column, of zeros; or of noise, where all directions count."""
    more = RNG.standard_normal(N) if name == "mean_canonical_correlation" else np.zeros(N)
    expected = {"correlation_matrix_distance": 0, "cycle_knn": of_neighbours("cycle_knn", Y, Y, 10)}.get(name, 1)
    assert float(every(np.c_[Y, more], Y)[name]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in METRICS if "knn" not in name and name != "cknna"])
def test_shifts_do_not_matter_where_views_are_centred(name, values):
    assert float(every(X + 50.0, Y - 7.0)[name]) == pytest.approx(values[name], rel=1e-7)


BATCH = np.stack([X, X + Y[:, :1], X**2]), np.stack([Y, Y, Y + 1])


@pytest.fixture(scope="module")
def batched():
    with jax.enable_x64(True):
        return jax.jit(jax.vmap(every))(*BATCH)


@pytest.mark.parametrize("name", METRICS)
def test_batches_equal_a_loop(name, batched):
    expected = [float(every(x, y)[name]) for x, y in zip(*BATCH, strict=True)]
    np.testing.assert_allclose(batched[name], expected, rtol=1e-9)


def test_the_second_call_does_not_compile():
    every(X, Y)
    compiled = every._cache_size()
    every(X + 1, Y**2)
    assert every._cache_size() == compiled


SMOOTH = {name: METRICS[name] for name in ("cka_unbiased", "cka_rbf", "cknna", "mean_canonical_correlation",
                                           "correlation_matrix_distance")}
SMOOTH["svcca"] = partial(svcca, components=3)
SMOOTH["cka of wide views"] = lambda x, y: cka(jnp.concatenate([x, x**2, x**3, x**4], 1)[:9],
                                               jnp.concatenate([y, y**2], 1)[:9])


@pytest.fixture(scope="module")
def slopes():
    """Derivatives of the smooth metrics along a random direction: from gradients, and from finite differences."""
    rng, step = np.random.default_rng(4), 1e-5
    along = rng.standard_normal(X.shape), rng.standard_normal(Y.shape)
    with jax.enable_x64(True):
        both = jax.jit(lambda x, y: {name: jax.value_and_grad(metric, argnums=(0, 1))(x, y)
                                     for name, metric in SMOOTH.items()})
        here, ahead, behind = (both(X + s * step * along[0], Y + s * step * along[1]) for s in (0, 1, -1))
    return {name: (float(sum(np.vdot(g, a) for g, a in zip(here[name][1], along, strict=True))),
                   float(ahead[name][0] - behind[name][0]) / (2 * step)) for name in SMOOTH}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_equal_finite_differences(name, slopes):
    from_gradient, from_differences = slopes[name]
    assert from_gradient == pytest.approx(from_differences, rel=1e-5)


def test_blocks_give_what_the_whole_gives(values):
    x = jnp.asarray(X)
    for block in (1, 7, N, 1000):
        found = map_row_blocks(lambda rows, part: (part * rows[:, None], part.sum(1)), x, block=block)
        np.testing.assert_array_equal(found[0], x * np.arange(N)[:, None])
        np.testing.assert_allclose(found[1], x.sum(1))
    for name in ("mutual_knn", "cka_rbf_unbiased"):
        assert float(METRICS[name](X, Y, block=7)) == pytest.approx(values[name], rel=1e-12)


def test_fifty_thousand_rows():
    """Whose square is no 32-bit integer."""
    x = np.random.default_rng(7).standard_normal((50_000, 3)).astype(np.float32)
    y = x[:, :2] + np.float32([1, 2])
    a, b = (np.float64(v) - np.float64(v).mean(0) for v in (x, y))
    expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    with jax.enable_x64(False):
        found = cka(x, y), cka(x, y, unbiased=True)
    assert [float(value) for value in found] == pytest.approx([expected] * 2, rel=1e-4)


# Precision, ties, bad input


@pytest.mark.parametrize("name", ["cka", "cka_rbf_unbiased", "mean_canonical_correlation"])
def test_float32_keeps_its_digits_far_from_the_origin(name):
    x, y = np.float32(X + 1000.0), np.float32(Y - 1000.0)
    found = METRICS[name](x, y)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(float(every(np.float64(x), np.float64(y))[name]), rel=2e-3, abs=2e-4)


def test_near_clusters_far_from_the_origin_are_told_apart_in_float32():
    x = np.float32(np.random.default_rng(5).integers(-4096, 4096, (60, 3)) / 4096 + 2048)
    found = nearest_neighbours(x, k=5, distance="euclidean")
    np.testing.assert_array_equal(found, lists(np.float64(x), 5, "euclidean"))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_duplicates_come_in_the_order_of_their_numbers(distance):
    """Every row eight times, in three sizes of block and both precisions."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((12, 19))[rng.integers(0, 12, 400)]
    group = np.unique(x, axis=0, return_inverse=True)[1]
    for dtype, block in ((np.float32, 77), (np.float32, 130), (np.float64, None)):
        # Its own duplicates, then those of other rows, which come one after another too.
        found = np.asarray(nearest_neighbours(x.astype(dtype), k=60, distance=distance, block=block))
        for i in range(len(x)):
            own = np.flatnonzero((group == group[i]) & (np.arange(len(x)) != i))
            np.testing.assert_array_equal(found[i][:len(own)], own[:60])
            for member in range(12):
                listed = found[i][group[found[i]] == member]
                np.testing.assert_array_equal(listed, np.flatnonzero(group == member)[:len(listed)]
                                              if member != group[i] else own[:60])
