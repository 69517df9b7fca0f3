"""Files that are whole or not there, for their owner only, with a checksum; knows the standard library only.

A file is written beside its place, brought to the disk, and then renamed into place: whoever finds it finds all of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qrt_runner.journal.troubles import RESTORE, damaged, told, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIB: Final = 2**30
_LEVEL: Final = 1
"""Of compression: a job's bits hardly get smaller at higher ones, which take several times as long."""

_MOST_BYTES: Final = 2 * GIB
_WAYS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The same parts give the same file, whenever they are packed."""


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can look into, and those above it that are missing; tighten one that is there.

    Raises:
        JournalError: Where that is not possible.
    """
    with told(folder):
        _make(folder)
        tighten(folder, 0o700)


def tighten(path: Path, mode: int) -> None:
    """Keep others out of a file or folder that came with more rights, such as a copy."""
    if path.stat().st_mode & 0o077:
        # Where it is somebody else's, or its file system knows no modes, they have decided.
        with suppress(PermissionError):
            path.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; a system that cannot open folders does so by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_checked(file: Path, content: bytes) -> str:
    """Write a file, all of it or nothing, and return its SHA-256.

    Raises:
        JournalError: Where there is no room, or nothing may be written.
    """
    make_private(file.parent)
    draft = file.with_name(f"{file.name}.new")
    with told(file):
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(file)
        except BaseException:
            # What is cut off takes room that may be what is missing.
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)
    return hashlib.sha256(content).hexdigest()


def read_checked(file: Path, sha: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """Return what was written to a file.

    Raises:
        JournalError: Where it is missing, too large, or not what was written.
    """
    with told(file):
        try:
            size = file.stat().st_size
            content = file.read_bytes() if size <= most_bytes else b""
        except FileNotFoundError as error:
            raise trouble(file, "is missing", RESTORE) from error
    if size > most_bytes:
        raise _too_large(file, most_bytes)
    if (found := hashlib.sha256(content).hexdigest()) != sha:
        raise damaged(file, f"its SHA-256 is {found[:12]}..., {sha[:12] or 'none'}... was written down")
    return content


def packed_bytes(content: bytes) -> bytes:
    """Compress bytes."""
    return zlib.compress(content, _LEVEL)


def unpacked_bytes(content: bytes, file: Path, most_bytes: int = _MOST_BYTES) -> bytes:
    """Return compressed bytes as they were.

    Args:
        content: What `packed_bytes` gave.
        file: Where it was read, for the message.
        most_bytes: How large it may get: a few bytes can be made to hold any amount.

    Raises:
        JournalError: Where they are not compressed bytes, are cut off, or are too many.
    """
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(content, most_bytes)
        if not stream.eof and stream.decompress(stream.unconsumed_tail, 1):
            raise _too_large(file, most_bytes)
    except zlib.error as error:
        raise damaged(file, error) from error
    if not stream.eof or stream.unused_data:
        raise damaged(file, "it does not end where it should")
    return unpacked


def write_parts(file: Path, parts: Mapping[str, bytes]) -> str:
    """Write named parts as one zip file, all of it or nothing, and return its SHA-256.

    Raises:
        JournalError: Where there is no room, or nothing may be written.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, content in parts.items():
            archive.writestr(_info(name), content, zipfile.ZIP_DEFLATED, _LEVEL)
    return write_checked(file, whole.getvalue())


def read_parts(file: Path, sha: str, most_bytes: int = _MOST_BYTES) -> dict[str, bytes]:
    """Return the named parts of a zip file.

    Raises:
        JournalError: Where it is missing, not what was written, or larger than `most_bytes`, packed or unpacked.
    """
    content = read_checked(file, sha, most_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            # A part never gives more than its declared size.
            if sum(part.file_size for part in parts) > most_bytes:
                raise _too_large(file, most_bytes)
            if any(part.compress_type not in _WAYS or part.flag_bits & _ENCRYPTED for part in parts):
                raise damaged(file, "it was packed by another program")
            return {part.filename: archive.read(part) for part in parts}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise damaged(file, error) from error


def _make(folder: Path) -> None:
    """Make a folder and those above it, each with its mode from the start and its name on the disk."""
    if folder.is_dir():
        return
    _make(folder.parent)
    with suppress(FileExistsError):
        # Another process may have been faster; where a file is in the way, what comes next fails.
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)


def _info(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _EPOCH)


def _too_large(file: Path, most_bytes: int) -> Exception:
    return trouble(file, f"holds more than {most_bytes / GIB:.3g} GiB", "it was not written by this program: remove it")
