"""Files of tensors, in full and in brief precision, and what is not unpickled.

Situations, with public reports of the same kind: bfloat16 tensors that NumPy does not have (huggingface/safetensors'
NumPy interface, PyTorch's `Tensor.numpy()`: "Got unsupported ScalarType BFloat16"); `torch.load` refusing pickled
objects since its `weights_only` became the default; embeddings saved as a dictionary of several tensors.
"""

import pickle
import sys
import types

import ml_dtypes
import numpy as np
import pytest

from phasejax.io import as_named, open_table

X = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)


def test_safetensors(tmp_path, monkeypatch):
    numpy = pytest.importorskip("safetensors.numpy")
    monkeypatch.chdir(tmp_path)
    numpy.save_file({"text.emb": X, "half": X.astype(np.float16), "labels": np.arange(40) % 3}, "all.safetensors")
    numpy.save_file({"emb": X.astype(ml_dtypes.bfloat16)}, "brief.safetensors")
    numpy.save_file({"images": X.reshape(40, 2, 3)}, "images.safetensors")
    found = as_named("all.safetensors:text.emb", "x")
    assert found.notes == ()
    np.testing.assert_array_equal(found.values.rows(3, 9), X[3:9])
    np.testing.assert_array_equal(open_table("all.safetensors:half").rows(0, 40), X.astype(np.float16))
    np.testing.assert_array_equal(as_named("all.safetensors:labels", "labels").values, np.arange(40) % 3)
    brief = as_named("brief.safetensors", "x")
    assert brief.notes == ("brief.safetensors: stored in bfloat16, which keeps 2 to 3 digits",)
    np.testing.assert_array_equal(brief.values.rows(0, 40), X.astype(ml_dtypes.bfloat16).astype(np.float32))
    np.testing.assert_array_equal(as_named("images.safetensors", "x", flatten=True).values.rows(0, 40), X)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "all.safetensors").read_bytes()[:200])
    for path, message in (("all.safetensors", "expected the name of one tensor after a colon"),
                          ("all.safetensors:emb", "expected one of its tensors"),
                          ("none.safetensors", "expected a readable file, got No such file"),
                          ("images.safetensors", r"got shape \(40, 2, 3\) \(images\? --flatten"),
                          ("cut.safetensors:half", r"expected a complete \.safetensors file, got")):
        with pytest.raises(ValueError, match=message) as raised:
            as_named(path, "x")
        assert "\n" not in str(raised.value)


def test_safetensors_that_are_not_installed(tmp_path, monkeypatch):
    (tmp_path / "x.safetensors").write_bytes(b"0" * 32)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ValueError, match=r"expected safetensors to read it .*pip install phasejax\[safetensors\]"):
        as_named(f"{tmp_path}/x.safetensors", "x")


class Tensor:
    """As much of a PyTorch tensor as reading one takes."""

    __module__ = "torch"
    layout = "torch.strided"

    def __init__(self, values, dtype="torch.float32"):
        self.values, self.dtype = values, dtype

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return Tensor(np.float64(self.values), "torch.float64")

    def numpy(self):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


def install_torch(monkeypatch, loaded):
    def load(file, *, map_location, weights_only):
        assert weights_only is True
        assert map_location == "cpu"
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    torch = types.ModuleType("torch")
    torch.load = load
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize(("loaded", "member", "brief"), [
    (Tensor(X), "", False), (Tensor(X, "torch.bfloat16"), "", True), ({"emb": Tensor(X), "epoch": 3}, "", False),
    ({"emb": Tensor(X), "other": Tensor(X + 1)}, ":emb", False),
])
def test_files_of_pytorch(tmp_path, monkeypatch, loaded, member, brief):
    (tmp_path / "x.pt").write_bytes(b"PK")
    install_torch(monkeypatch, loaded)
    found = as_named(f"{tmp_path}/x.pt{member}", "x")
    np.testing.assert_array_equal(found.values.rows(0, 40), X)
    assert found.notes == (("x.pt: stored in bfloat16, which keeps 2 to 3 digits",) if brief else ())


@pytest.mark.parametrize(("loaded", "member", "message"), [
    (pickle.UnpicklingError("Weights only load failed.\nIn PyTorch 2.6"), "", "tensors alone, .*Weights only load"),
    (RuntimeError("PytorchStreamReader failed"), "", "tensors alone, .*got PytorchStreamReader failed"),
    ([Tensor(X)], "", "expected a tensor, or tensors by name, got a list"),
    (Tensor(X), ":emb", "since it is a single tensor, got the name emb"),
    ({"a": Tensor(X), "b": Tensor(X)}, "", r"name of one tensor after a colon \(a, b\), got none"),
    (Tensor(X.reshape(40, 2, 3)), "", r"got shape \(40, 2, 3\) \(images\?"),
])
def test_bad_files_of_pytorch(tmp_path, monkeypatch, loaded, member, message):
    (tmp_path / "x.pt").write_bytes(b"PK")
    install_torch(monkeypatch, loaded)
    with pytest.raises(ValueError, match=message) as raised:
        as_named(f"{tmp_path}/x.pt{member}", "x")
    assert "\n" not in str(raised.value)


def test_nothing_is_unpickled_without_pytorch(tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (sys.exit, ("unpickled",))

    for ending in ("pt", "pth"):
        (tmp_path / f"x.{ending}").write_bytes(pickle.dumps(Trap()))
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(ValueError, match=r"expected PyTorch to read it with, got none installed: pip"):
            as_named(f"{tmp_path}/x.{ending}", "x")


@pytest.mark.parametrize("save", [lambda path, x: np.save(path, x), lambda path, x: np.savez(path, emb=x)])
def test_arrays_of_bfloat16_are_noted(tmp_path, save):
    path = tmp_path / ("x.npy" if "savez" not in save.__code__.co_names else "x.npz")
    save(path, X.astype(ml_dtypes.bfloat16))
    found = as_named(path, "x")
    assert found.notes == (f"{path.name}: stored in bfloat16, which keeps 2 to 3 digits",)
    values = found.values if isinstance(found.values, np.ndarray) else found.values.rows(0, 40)
    np.testing.assert_array_equal(values, X.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_batches_of_images(tmp_path):
    images = np.random.default_rng(1).standard_normal((7, 4, 3, 2))
    np.save(tmp_path / "x.npy", images)
    np.savez(tmp_path / "x.npz", images)
    for value in (images, list(images), tmp_path / "x.npy", tmp_path / "x.npz"):
        found = as_named(value, "x", flatten=True).values
        np.testing.assert_array_equal(found if isinstance(found, np.ndarray) else found.rows(0, 7),
                                      images.reshape(7, -1))
        with pytest.raises(ValueError, match=r"expected two dimensions .*\(7, 4, 3, 2\) \(images\? --flatten"):
            as_named(value, "x")
    np.testing.assert_array_equal(as_named(images[..., 0], "x", flatten=True).values, images[..., 0].reshape(7, 12))
    assert as_named(images[:, 0, :, 0], "x", flatten=True).values.shape == (7, 3)


def test_batches_of_images_in_hdf5_and_zarr(tmp_path):
    import h5py
    import zarr

    images = np.random.default_rng(1).standard_normal((7, 4, 3))
    with h5py.File(tmp_path / "x.h5", "w") as root:
        root["images"] = images
    zarr.save_array(tmp_path / "x.zarr", images)
    for path in (tmp_path / "x.h5", tmp_path / "x.zarr"):
        np.testing.assert_array_equal(open_table(path, flatten=True).rows(2, 5), images[2:5].reshape(3, -1))
        with pytest.raises(ValueError, match=r"expected two dimensions .*\(7, 4, 3\) \(images\? --flatten"):
            open_table(path)


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_annotated_data_in_zarr(tmp_path, form):
    ad = pytest.importorskip("anndata")
    import scipy.sparse

    counts = scipy.sparse.random(40, 6, 0.4, format="csr", random_state=0)
    names = [f"CELL{place}" for place in range(40)][::-1]
    data = ad.AnnData(counts.toarray() if form == "dense" else counts.asformat(form))
    data.obs_names, data.layers["counts"], data.obsm["X_pca"] = names, 2 * counts, X
    data.obs["cell_type"], data.var["feature_types"] = np.where(np.arange(40) % 2, "a", "b"), ["GEX"] * 4 + ["ADT"] * 2
    path = tmp_path / "x.zarr"
    data.write_zarr(path)
    for member, expected in (("", counts.toarray()), (":layers/counts", 2 * counts.toarray()), (":obsm/X_pca", X),
                             ("[ADT]", counts.toarray()[:, 4:])):
        found = as_named(f"{path}{member}", "x")
        np.testing.assert_array_equal(found.values.rows(0, 40), expected)
        assert found.ids.tolist() == names
    labels = as_named(f"{path}:obs/cell_type", "labels")
    assert labels.values[:2].tolist() == ["b", "a"]
    assert labels.ids.tolist() == names
