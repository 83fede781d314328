"""What a store of a sweep says of itself: which sweep it belongs to, which chunks are finished, whether all are.

The identity is one line of JSON. It stands in a file of its own and, once more, in the first line of the journal, so
that damage to one of them is made good from the other. Every further line of the journal names a finished chunk with
the checksum of each of its files; the last one says that the sweep is finished. Each line ends in a checksum of itself
and of the identity: a line that is torn or damaged, or comes from another store, counts as not written.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phasejax.simulation._chunk_writer import IDENTITY, RUN_FOLDER, ChunkRecord, write_durably

_JOURNAL = RUN_FOLDER / "journal.jsonl"


@dataclass
class Journal:
    """The journal of one store.

    Args:
        root: folder of the store.
        identity: the line that tells it from all others.
        chunks: finished chunks by their keys: path of each file inside the store to its SHA-256.
        finished: whether the sweep was finished with all these chunks.
        intact: whether all that should be in the files is there.
    """

    root: Path
    identity: bytes
    chunks: dict[str, dict[str, str]] = field(default_factory=dict)
    finished: bool = False
    intact: bool = True

    @classmethod
    def read(cls, root: Path) -> "Journal | None":
        """The journal of a store; None where neither copy of the identity can be read."""
        own, lines = _content(root / IDENTITY), _content(root / _JOURNAL).splitlines(keepends=True)
        copy = lines[0] if lines else b""
        identity = next((line for line in (own, copy) if _read_line(line, b"") is not None), None)
        if identity is None:
            return None
        journal, last = cls(root, identity, intact=own == copy == identity), None
        for line in lines[1:]:
            last = _read_line(line, identity)
            if last is None:
                journal.intact = False
            elif "chunk" in last:
                journal.chunks[last["chunk"]] = last["files"]
        journal.finished = last is not None and last.get("finished") == len(journal.chunks)
        return journal

    @classmethod
    def begin(cls, root: Path, about: dict[str, Any]) -> "Journal":
        """The journal of a new store.

        Args:
            root: folder of the store.
            about: the identity, of plain Python objects.
        """
        journal = cls(root, _line(about, b""))
        journal.rewrite()
        return journal

    @property
    def about(self) -> dict[str, Any]:
        """What the identity says."""
        return _read_line(self.identity, b"") or {}

    def add(self, record: ChunkRecord) -> None:
        """Enter a chunk that is on the disk."""
        self.chunks[record.key] = record.files
        self._append({"chunk": record.key, "files": record.files})

    def finish(self) -> None:
        """Say that there are no chunks but those that were entered."""
        self.finished = True
        self._append({"finished": len(self.chunks)})

    def rewrite(self) -> None:
        """Write both files anew, with what is known."""
        lines = [_line({"chunk": key, "files": files}, self.identity) for key, files in self.chunks.items()]
        if self.finished:
            lines.append(_line({"finished": len(self.chunks)}, self.identity))
        write_durably(self.root / IDENTITY, self.identity)
        write_durably(self.root / _JOURNAL, b"".join([self.identity, *lines]))
        self.intact = True

    def _append(self, entry: dict[str, Any]) -> None:
        with open(self.root / _JOURNAL, "ab") as stream:
            stream.write(_line(entry, self.identity))
            stream.flush()
            os.fsync(stream.fileno())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _line(entry: dict[str, Any], identity: bytes) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return text + b" " + hashlib.sha256(identity + text).hexdigest().encode() + b"\n"


def _read_line(line: bytes, identity: bytes) -> dict[str, Any] | None:
    """The entry of a line that is whole and belongs to a store, else None."""
    text, _, own = line.rpartition(b" ")
    return json.loads(text) if own == hashlib.sha256(identity + text).hexdigest().encode() + b"\n" else None
