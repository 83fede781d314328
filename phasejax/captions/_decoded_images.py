"""Folders of images, decoded once: files that cannot be read are left out, and every later epoch only copies.

An image of 640 x 480 pixels takes milliseconds to decode, a copy of 224 x 224 from a memory map microseconds. Decoding
in every epoch, as image loaders do, therefore needs a core for every few hundred images in a second; decoded once, two
cores feed an accelerator. Threads do it: Pillow holds no lock while it decodes, and threads, unlike the processes of
loaders such as grain, start at once, leave nothing behind when they are interrupted, and do not fork a process in which
JAX runs.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from phasejax._core.atomic_files import written_whole
from phasejax._core.devices import cores
from phasejax._core.input_files import check_memory, reading
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.run_lock import RunLock
from phasejax._core.terminal import one_line
from phasejax.io._input_notes import InputWarning

_CHUNK = 512  # images that are decoded before the state of the store is written
_MOST_LEFT_OUT = 0.01  # share of the images
_VERSION = 1
_CROPPED = 8 / 7  # short side of the whole image in sides of the part that is kept, 256 to 224 as usual for ImageNet


def decode(path: str | Path, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The middle of an image as a square: its short side is reduced to 8/7 of the size, and the edges are cut off.

    Args:
        path: a file of any format that Pillow reads.
        size: side of the square in pixels.

    Raises:
        OSError: no image, or one that is cut short.
    """
    from PIL import Image

    with Image.open(path) as image:
        # A JPEG is decoded at a half, a quarter or an eighth where that is enough.
        image.draft("RGB", (round(size * _CROPPED), round(size * _CROPPED)))
        whole = image.convert("RGB")
    side = min(whole.size) / _CROPPED
    left, top = ((length - side) / 2 for length in whole.size)
    return np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side)))


def decode_folder(folder: str | Path, names: Sequence[str], size: int, *, store: str | Path | None = None,
                  progress: bool | ProgressCallback = False
                  ) -> tuple[UInt8[np.ndarray, "n size size 3"], list[int], list[str]]:
    """Images of a folder that can be decoded, in the order of their names as given.

    Args:
        folder: where the files are.
        names: of the files.
        size: side of the images in pixels.
        store: a folder for the decoded images, which then are a memory map of a file; a run that was interrupted goes
            on there, and a later one finds them. In memory when left out.
        progress: as in `phasejax.sweep`.

    Returns:
        The images, which of the names they are, and what was left out, each with the reason.

    Raises:
        ValueError: more than 1 % of the images are missing or cannot be read; too little memory; a store of other
            images, or in use.
        UserWarning: images are left out.
    """
    folder = Path(folder)
    if store is None:
        check_memory(f"images of {folder} without a store", len(names) * 3 * size * size)
        images = np.empty((len(names), size, size, 3), np.uint8)
        return _decoded(folder, names, images, _State(None, ""), progress)
    store = Path(store)
    try:
        store.mkdir(parents=True, exist_ok=True)
        # A store that is complete is only read, by as many runs as like.
        state = _State.found(store, folder, names, size)
        if state.done == len(names):
            return _decoded(folder, names, np.lib.format.open_memmap(state.array, "r"), state, progress)
        with RunLock(store / "lock", "store"):
            state = _State.found(store, folder, names, size)
            if state.done:
                images = np.lib.format.open_memmap(state.array, "r+")
            else:
                images = np.lib.format.open_memmap(state.array, "w+", np.uint8, (len(names), size, size, 3))
                _take_place(state.array)
            return _decoded(folder, names, images, state, progress)
    except OSError as error:
        raise ValueError(f"store: expected a folder that can be written, with {len(names) * 3 * size * size / 1e9:.3g} "
                         f"GB free, got {store} ({error.strerror or error})") from None


class _State:
    """How far the images of a folder are decoded.

    Args:
        file: where this is kept; nowhere when None.
        images: a checksum of the names and lengths of the files and of the size.
        done: how many of the images were tried.
        left_out: name of each that could not be read, and why.
    """

    def __init__(self, file: Path | None, images: str, done: int = 0, left_out: Sequence[Sequence[str]] = ()):
        self.file, self.images, self.done, self.left_out = file, images, done, [tuple(one) for one in left_out]

    @property
    def array(self) -> Path:
        """The file of the decoded images."""
        return Path() if self.file is None else self.file.with_suffix(".npy")

    @classmethod
    def found(cls, store: Path, folder: Path, names: Sequence[str], size: int) -> "_State":
        """What an earlier run has left in the store."""
        about = hashlib.sha256(f"{size}\n".encode())
        for name in names:
            about.update(f"{name} {_length(folder / name)}\n".encode())
        file, images = store / f"images_{size}.json", about.hexdigest()
        if not file.exists():
            return cls(file, images)
        with reading(str(file), "the state of decoded images"):
            saved = json.loads(file.read_text(encoding="utf-8"))
            if saved["phasejax_images"] != _VERSION:
                raise ValueError(f"{file}: expected version {_VERSION}, got {saved['phasejax_images']}")
            state = cls(file, saved["images"], int(saved["done"]), saved["left_out"])
            if state.images == images and state.array.exists():
                return state
            if saved["complete"]:
                raise ValueError(f"store: expected one of the images in {folder} as they are, got {store}, which is of "
                                 "others; give another, or remove it")
        return cls(file, images)

    def save(self, total: int) -> None:
        """Write the state, after the images that it counts."""
        if self.file is not None:
            content = {"phasejax_images": _VERSION, "images": self.images, "done": self.done,
                       "complete": self.done == total, "left_out": self.left_out}
            with written_whole(self.file) as unfinished:
                unfinished.write_text(json.dumps(content), encoding="utf-8")


def _decoded(folder, names, images, state, progress):
    bad = {name for name, _ in state.left_out}
    kept = [i for i, name in enumerate(names[:state.done]) if name not in bad]
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="phasejax-decode")
    try:
        with reporting(progress) as tell:
            while state.done < len(names):
                chunk = range(state.done, min(state.done + _CHUNK, len(names)))
                for i, found in zip(chunk, pool.map(lambda i: _tried(folder / names[i], images.shape[1]), chunk),
                                    strict=True):
                    if isinstance(found, str):
                        state.left_out.append((names[i], found))
                    else:
                        images[len(kept)] = found
                        kept.append(i)
                if len(state.left_out) > _MOST_LEFT_OUT * len(names):
                    raise ValueError(f"{folder}: expected at most 1 % of {len(names)} images missing or unreadable, "
                                     f"got {len(state.left_out)} in the first {chunk.stop}: {_listed(state.left_out)}")
                if isinstance(images, np.memmap):
                    images.flush()
                state.done = chunk.stop
                state.save(len(names))
                tell(f"images of {folder.name}", state.done, len(names))
    finally:
        pool.shutdown(cancel_futures=True)
    if state.left_out:
        warnings.warn(InputWarning(f"{folder}: {len(state.left_out)} of {len(names)} images are left out: "
                                   f"{_listed(state.left_out)}"), stacklevel=6)  # of who called `load_coco`
    return images[:len(kept)], kept, [f"{name} ({why})" for name, why in state.left_out]


def _tried(path, size):
    """The decoded image, or why there is none."""
    try:
        return decode(path, size)
    except FileNotFoundError:
        return "missing"
    # Pillow's decoders raise errors of many types on damage.
    except Exception as error:
        return str(error).partition("\n")[0].replace(str(path), "the file") or type(error).__name__


def _listed(left_out):
    first = ", ".join(f"{name} ({why})" for name, why in left_out[:3])
    return one_line(first) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")


def _length(path):
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _take_place(path):
    """Take the place on the disk now: where it ends later, writing into the memory map would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
