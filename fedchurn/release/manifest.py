"""The manifest: one ``sha256  path`` line per file of a release, sorted by path.

Whoever reads a release reads it through ``read_verified``: the bytes that were hashed are the bytes
that are used, so nothing can change between the check and the use.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from fedchurn.errors import IntegrityError

MANIFEST = "MANIFEST.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_NEXT = "fetch the release again from the registry, or roll back to the previous release"


def manifest_bytes(files: Mapping[str, bytes]) -> bytes:
    """The manifest of ``files`` (content by relative path), as ``sha256sum`` writes it."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode("utf-8")


def release_id(contract: str, version: str, manifest: bytes) -> str:
    """``NAME-VERSION-HASH``: HASH is the first 12 hex digits of the manifest's sha256."""
    return f"{contract}-{version}-{hashlib.sha256(manifest).hexdigest()[:12]}"


def verify_manifest(folder: Path) -> None:
    """Check that a folder holds exactly the files of its manifest, unchanged.

    Raises:
        IntegrityError: naming the file that is changed, missing, extra, a symlink, or outside.
    """
    read_verified(folder)


def read_verified(folder: Path) -> dict[str, bytes]:
    """All files of a release by relative path, manifest included, each checked as it is read.

    Raises:
        IntegrityError: as for ``verify_manifest``.
    """
    present = set(_files(folder, folder))
    if MANIFEST not in present:
        raise _broken(folder, f"{MANIFEST} is missing, so this is no release folder")
    manifest = _read(folder, MANIFEST)
    expected = _parse(folder, manifest)
    for name in sorted(expected.keys() - present):
        raise _broken(folder, f"file {name!r} is missing")
    for name in sorted(present - expected.keys() - {MANIFEST}):
        raise _broken(folder, f"file {name!r} is extra: the manifest does not list it")
    return {MANIFEST: manifest} | {n: _checked(folder, n, s) for n, s in expected.items()}


def read_unverified(folder: Path) -> dict[str, bytes]:
    """All files of a release by relative path, hashes unchecked; symlinks are still refused."""
    return {name: _read(folder, name) for name in _files(folder, folder)}


def _files(top: Path, folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise _broken(top, "there is no such folder")
    for path in sorted(folder.iterdir()):
        name = path.relative_to(top).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise _broken(top, f"file {name!r} is a symlink; a release holds plain files only")
        if stat.S_ISDIR(mode):
            yield from _files(top, path)
        elif stat.S_ISREG(mode):
            yield name
        else:
            raise _broken(top, f"{name!r} is neither a plain file nor a folder")


def _parse(folder: Path, manifest: bytes) -> dict[str, str]:
    expected: dict[str, str] = {}
    text = manifest.decode("utf-8", "replace")
    if not text.endswith("\n"):
        raise _broken(folder, f"{MANIFEST} does not end with a line end: it is cut or changed")
    for number, line in enumerate(text[:-1].split("\n"), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise _broken(folder, f"{MANIFEST} line {number} is not 'sha256  path': {line[:120]!r}")
        name = match[2]
        if _is_outside(name):
            raise _broken(folder, f"{MANIFEST} line {number}: {name!r} is outside the folder")
        if name in expected or name == MANIFEST:
            raise _broken(folder, f"{MANIFEST} line {number}: {name!r} may not be listed (again)")
        expected[name] = match[1]
    return expected


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name)
    odd = "\\" in name or "\0" in name or path.as_posix() != name
    return odd or path.is_absolute() or ".." in path.parts


def _checked(folder: Path, name: str, sha256: str) -> bytes:
    content = _read(folder, name)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _broken(folder, f"file {name!r} is changed: sha256 {found}, not {sha256}")
    return content


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _broken(folder, f"file {name!r} cannot be read: {error.strerror}") from error


def _broken(folder: Path, what: str) -> IntegrityError:
    return IntegrityError(what, where=f"release folder {folder}", next_step=_NEXT)
