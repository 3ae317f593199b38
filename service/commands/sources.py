"""What `retrieval ingest` was given: which files hold lines, which are documents, and what is left out."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import rich_click as click
from msgspec import Struct

LINE_SUFFIXES = (".jsonl", ".jsonl.gz", ".csv")
DOCUMENT_SUFFIXES = (".md", ".rst", ".txt", ".html", ".pdf", ".docx")


class Source(Struct, frozen=True):
    """A file to import."""

    path: Path
    id: str
    """Of the document, where the file is one: its path below the folder that was named."""

    @property
    def is_document(self) -> bool:
        """Whether the whole file is one document; otherwise each of its lines is."""
        return has_suffix(self.path, DOCUMENT_SUFFIXES)


class Sources(Struct, frozen=True):
    """All files to import, and how many others the folders hold."""

    files: list[Source]
    skipped: int


def find_sources(paths: Iterable[Path], *, is_faq: bool) -> Sources:
    """Look through files and folders, in the order of names; hidden files and folders are passed over.

    Raises click.UsageError where a named file is of no known kind, nothing is found, or two files would have one id.
    """
    known = LINE_SUFFIXES if is_faq else (*LINE_SUFFIXES, *DOCUMENT_SUFFIXES)
    files: list[Source] = []
    skipped = 0
    for path in paths:
        found = list(_below(path)) if path.is_dir() else [Source(path, path.name)]
        taken = [source for source in found if has_suffix(source.path, known)]
        skipped += len(found) - len(taken)
        if not taken:
            reason = "holds no file" if path.is_dir() else "is not a file"
            raise click.UsageError(f"{path} {reason} of a kind that is taken here: {' '.join(known)}.")
        files += taken
    _check_ids(files)
    return Sources(files, skipped)


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Tell whether the file's name ends so, in capitals or not."""
    return path.name.lower().endswith(suffixes)


def _below(folder: Path) -> Iterator[Source]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file():
                yield Source(path, path.relative_to(folder).as_posix())


def _check_ids(files: Iterable[Source]) -> None:
    places: dict[str, Path] = {}
    for source in files:
        if source.is_document and (other := places.setdefault(source.id, source.path)) != source.path:
            raise click.UsageError(
                f"{other} and {source.path} would both become document {source.id!r}: "
                "name the folder above both, or import them one after the other into two collections.",
            )
