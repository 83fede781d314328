"""Trained heads on new features, and through a file."""

import numpy as np
import pytest

from phasejax.deep import Heads, load_heads, train_heads
from tests.deep.heads_rows import AGE, GROUP, KIND, SPLIT, X, Y, trained

pytestmark = [pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")]


@pytest.fixture(scope="module")
def heads() -> Heads:
    return trained().heads


def test_embeddings_are_those_of_each_view(heads):
    both = heads.embed("CA VICReg", X, Y, seed=1)
    assert both.shape == (240, 4)
    np.testing.assert_array_equal(both[:, :2], heads.embed("CA VICReg", X, seed=1))
    np.testing.assert_allclose(both[5:6, 2:], heads.embed("CA VICReg", y=Y[5:7], seed=1)[:1], atol=1e-6)
    assert not np.allclose(both, heads.embed("CA VICReg", X, Y))


def test_a_file_gives_the_same_heads(heads, tmp_path):
    heads.save(tmp_path / "heads.npz")
    again = load_heads(tmp_path / "heads.npz")
    assert again.objectives == heads.objectives
    assert again.sizes == heads.sizes
    for objective, given in (("CA VICReg", {"x": X, "y": Y}), ("CP y->x", {"y": Y})):
        np.testing.assert_array_equal(again.embed(objective, **given), heads.embed(objective, **given))


def test_saved_heads_are_scored_as_they_were_when_they_were_trained(heads):
    before = trained()
    again = train_heads(X, Y, {"kind": KIND, "age": AGE}, groups=GROUP, split=SPLIT, nuisance={"donor": GROUP // 4},
                        heads=heads)
    expected = [one for one in before.scores if not one.objective.startswith("supervised")]
    assert sorted(again.scores, key=str) == sorted(expected, key=str)
    assert (again.bottleneck, again.seeds, again.trained) == (2, 2, ())
    with pytest.raises(ValueError, match="x: expected 6 columns, as these heads were trained on, got 5"):
        train_heads(X[:, :5], Y, KIND, split=SPLIT, heads=heads)


@pytest.mark.parametrize(("objective", "given", "message"), [
    ("CA VICReg", {"x": X[:, :3]}, "x: expected 6 columns, as these heads were trained on, got 3"),
    ("CP y->x", {"x": X}, "x: expected none with CP y->x, which has no encoder of x"),
    ("CA", {"x": X}, "objective: expected "),
    ("CA VICReg", {}, "x, y: expected rows of at least one view to embed with CA VICReg, got none"),
    ("CA VICReg", {"x": X, "y": Y[1:]}, "y: expected 240 rows as in x, got 239"),
    ("CA VICReg", {"x": np.where(X > 5, np.nan, X)}, "x: expected finite values"),
    ("CA VICReg", {"x": X, "seed": 2}, "seed: expected "),
])
def test_what_cannot_be_embedded_is_refused(heads, objective, given, message):
    with pytest.raises(ValueError, match=message):
        heads.embed(objective, **given)


def test_other_files_are_refused(heads, tmp_path):
    with pytest.raises(ValueError, match=r"path: expected a file ending in .npz, got heads.pt"):
        heads.save("heads.pt")
    np.savez(tmp_path / "other.npz", a=X)
    (tmp_path / "text.npz").write_text("no archive")
    heads.save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:len(whole) // 2])
    for name in ("other", "text", "cut", "missing"):
        with pytest.raises(ValueError, match=rf"{name}.npz: expected ") as caught:
            load_heads(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
