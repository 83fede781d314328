"""Folders whose files are vouched for: a manifest, written last, holds what they were made for and the SHA-256 of each.

A folder without a manifest was never finished. One whose files differ from its manifest is damaged, and
`read_manifest` says which file it is, before anything in the folder is believed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from phasejax._core.atomic_files import written_whole

MANIFEST = "manifest.json"


class DamagedFolderError(ValueError):
    """Files that are not what was written."""


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: a file that cannot be read.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, about: dict[str, Any]) -> None:
    """Vouch for every file in a folder.

    Args:
        folder: holds the files, in subfolders or not.
        about: what the files belong to, of plain Python objects.

    Raises:
        OSError: files that cannot be read or written.
    """
    content = {"about": about, "files": {path.relative_to(folder).as_posix(): sha256_of(path)
                                         for path in _files(folder)}}
    with written_whole(folder / MANIFEST) as unfinished:
        unfinished.write_text(json.dumps(content | {"sha256": _own_sum(content)}, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the files in a folder belong to, if they are those that were written.

    Args:
        folder: which `write_manifest` was called for.

    Returns:
        The second argument of `write_manifest`; None where there is no manifest.

    Raises:
        DamagedFolderError: naming the first file that is missing, was added or holds something else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     _ = (folder / "a.txt").write_text("one")
    ...     write_manifest(folder, {"step": 3})
    ...     print(read_manifest(folder))
    ...     _ = (folder / "a.txt").write_text("two")
    ...     try:
    ...         read_manifest(folder)
    ...     except DamagedFolderError as error:
    ...         print(str(error).removeprefix(name + "/"))
    {'step': 3}
    a.txt is not what was written
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # bytes that are no UTF-8
        raise DamagedFolderError(f"{folder / MANIFEST} is not what was written") from None
    try:
        content = json.loads(text)
        files, sound = content["files"], content.pop("sha256") == _own_sum(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise DamagedFolderError(f"{folder / MANIFEST} is not what was written")
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted({*files, *found}):
        if name not in found:
            raise DamagedFolderError(f"{folder / name} is missing")
        if name not in files:
            raise DamagedFolderError(f"{folder / name} does not belong there")
        try:
            if sha256_of(found[name]) != files[name]:
                raise DamagedFolderError(f"{folder / name} is not what was written")
        except OSError as error:
            raise DamagedFolderError(f"{folder / name} cannot be read ({error.strerror})") from None
    return content["about"]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def _own_sum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
