"""The data directory: one process owns it, it says which format it is in, and it holds nothing unknown."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from service.errors import DataDirectoryError, StoreUnavailable

FORMAT: Final = "1"
OWN_NAMES: Final = frozenset({"format", "format.new", "lock", "models"})
SPARE_BYTES: Final = 100_000_000
"""Free disk below which nothing is written: Qdrant maps sparse files, and a full disk kills the process in the act."""


@contextmanager
def own_directory(directory: Path) -> Iterator[Path]:
    """Own the data directory until the block ends, creating it where it does not exist; yields the collections' folder.

    Raises DataDirectoryError where another process owns it, or where it is not a data directory of this format.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DataDirectoryError(f"The data directory {directory} cannot be used: {error.strerror}.") from error
    try:
        _lock(directory, descriptor)
        _check_format(directory)
        collections = directory / "collections"
        collections.mkdir(exist_ok=True)
        flush_folder(directory)
        yield collections
    finally:
        os.close(descriptor)


def write_durably(file: Path, text: str) -> None:
    """Replace a small file's content; after a crash it holds the old content or the new."""
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    flush_folder(file.parent)


def new_name() -> str:
    """Return a name for a folder that no folder ever had."""
    return secrets.token_hex(8)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_room(folder: Path) -> None:
    """Raise StoreUnavailable where the disk is too full to write to an index safely."""
    if (free := shutil.disk_usage(folder).free) < SPARE_BYTES:
        raise StoreUnavailable(
            f"The disk of the data directory has {free // 1_000_000} MB left, and writing needs "
            f"{SPARE_BYTES // 1_000_000} MB: free some, then try again."
        )


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that it holds; what cannot be removed now is removed at the next start."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_unknown(folder: Path, known: set[str]) -> None:
    """Remove the folders in a folder that are not among the known: half-built ones, and those deleted halfway."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in known:
            remove_folder(entry)


def used_bytes(folder: Path) -> int:
    """Count the bytes on disk of all files in a folder; sparse files count for what they take."""
    used = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                used += Path(directory, name).stat().st_blocks * 512
    return used


def _lock(directory: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise DataDirectoryError(
            f"The data directory {directory.resolve()} is in use by the process {owner}. One process owns a data "
            "directory: stop that one, or set RETRIEVAL_DATA_DIR to another directory.",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _check_format(directory: Path) -> None:
    file = directory / "format"
    if not file.exists():
        foreign = sorted(entry.name for entry in directory.iterdir() if entry.name not in OWN_NAMES)
        if foreign:
            raise DataDirectoryError(
                f"The directory {directory.resolve()} is not a data directory of this service and not empty "
                f"(it holds {foreign[0]}). Set RETRIEVAL_DATA_DIR to an empty or a new directory.",
            )
        write_durably(file, f"{FORMAT}\n")
    if (found := file.read_text(encoding="utf-8", errors="replace").strip()) != FORMAT:
        raise DataDirectoryError(
            f"The data directory {directory.resolve()} has the format {found}, this version reads the format {FORMAT}. "
            "Start the version that wrote it, or set RETRIEVAL_DATA_DIR to an empty directory and import again.",
        )
