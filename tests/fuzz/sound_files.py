"""What hostile files are made of: sound files of each format, and names that nobody should use."""

import functools
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

ROWS = 60
ESCAPE = "\x1b[31m\x1b]0;owned\x07"
HOSTILE_NAMES = (
    ESCAPE + "red",
    "<script>alert(1)</script>",
    "a\nb",
    "\u202egnp",
    "",
    " ",
    "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}",
    "n" * 5000,
    "{{ 7 * 7 }}",
    "=1+1",
    "\t",
    "\r",
    "\x85",
    "[bold]x[/bold]",
    "\u2028",
)


@functools.cache
def views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two views of 60 rows that share two directions, and two classes."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((ROWS, 2))
    x, y = (np.c_[signal + 0.5 * rng.standard_normal((ROWS, 2)), rng.standard_normal((ROWS, 2))] for _ in "xy")
    return x, y, (signal[:, 0] > 0).astype(int)


@functools.cache
def sound(ending: str) -> bytes:
    """A sound file of each format that is a single file."""
    x, _, labels = views()
    stream = io.BytesIO()
    match ending:
        case ".npy":
            np.save(stream, x)
        case ".npz":
            np.savez(stream, x=x)
        case ".csv" | ".tsv" | ".txt" | ".csv.gz":
            separator = "," if ".csv" in ending else "\t"
            rows = [separator.join(("id", "a", "b", "c", "d"))]
            rows += [separator.join([f"s{row}", *(f"{value:.6g}" for value in values)]) for row, values in enumerate(x)]
            data = ("\n".join(rows) + "\n").encode()
            return gzip.compress(data, mtime=0) if ending.endswith(".gz") else data
        case ".parquet":
            import pandas as pd

            pd.DataFrame(x, columns=list("abcd")).assign(id=np.arange(ROWS) + 100).to_parquet(stream)
        case ".h5":
            import h5py

            with h5py.File(stream, "w") as file:
                file.create_dataset("x", data=x, chunks=(16, 4), compression="gzip")
        case ".h5ad" | ".h5mu":
            import h5py

            with h5py.File(stream, "w") as file:
                write_anndata(file if ending == ".h5ad" else file.create_group("mod/rna"), x, labels)
        case ".safetensors":
            from safetensors.numpy import save

            return save({"x": x})
        case _:
            raise AssertionError(ending)
    return stream.getvalue()


def write_anndata(group, x, labels, **changed):
    """AnnData as anndata 0.12 writes it: X sparse by row, two annotations, names of rows and columns."""
    import scipy.sparse

    matrix = scipy.sparse.csr_matrix(np.where(np.abs(x) > 0.5, x, 0))
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    stored = group.create_group("X")
    stored.attrs.update(
        {
            "encoding-type": changed.get("encoding", "csr_matrix"),
            "encoding-version": "0.1.0",
            "shape": changed.get("shape", np.array(matrix.shape)),
        }
    )
    for part in ("data", "indices", "indptr"):
        stored.create_dataset(part, data=changed.get(part, getattr(matrix, part)))
    for name, size in (("obs", len(x)), ("var", x.shape[1])):
        frame = group.create_group(name)
        frame.attrs.update(
            {
                "encoding-type": "dataframe",
                "encoding-version": "0.2.0",
                "_index": "_index",
                "column-order": np.array(["kind"] if name == "obs" else [], "S"),
            }
        )
        index = frame.create_dataset("_index", data=[f"{name}{place}" for place in range(size)])
        index.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        if name == "obs":
            kind = frame.create_dataset("kind", data=labels)
            kind.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return matrix


def write(path: Path, data: bytes) -> str:
    """Write a file, and return its path."""
    path.write_bytes(data)
    return str(path)


def zipped(path: Path, members: dict[str, bytes]) -> str:
    """Write a ZIP archive, and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)
