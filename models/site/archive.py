"""A folder or a zip becomes a folder of our own, with nothing in it that was not looked at.

What is refused: names that lead out of the folder, links, devices, encrypted members, two members of one name, and
archives that unpack to far more than they are (zip bombs). Sizes are counted while unpacking, not believed.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from models.site.errors import ModelRefused

#: Files of one model; the largest of MONAI's bundles has some hundred.
MAX_FILES = 2000

#: Bytes of one model, unpacked.
MAX_BYTES = 16 << 30

#: Weights pack to half at best; text packs to a twentieth.
MAX_RATIO = 200

#: Below this size a member may pack as well as it likes.
SMALL = 1 << 20
#: The same of a whole archive: many small members are a bomb too.
SMALL_ARCHIVE = 64 << 20

#: What reading a damaged zip raises.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, EOFError, ValueError,
           RuntimeError, OverflowError)  # fmt: skip

MAX_DEPTH = 12
CHUNK = 1 << 20

#: What version control and interpreters leave behind is no part of a model.
IGNORED = frozenset({"__pycache__", ".git", ".DS_Store", "__MACOSX", ".cache"})


def stage(path: Path, target: Path) -> Path:
    """Bring a folder, a zip or a single file into ``target``, which is made, and give the folder of the model.

    Parameters
    ----------
    path
        What the operator names. A zip that holds one folder is that folder.

    Raises
    ------
    ModelRefused
        With the name of the first file that is not taken, and why.
    """
    target.mkdir(parents=True)
    try:
        if path.is_symlink() and not path.exists():
            raise ModelRefused(f"{path} is a link that leads nowhere")
        if path.is_dir():
            _copy(path, target)
        elif path.is_file() and zipfile.is_zipfile(path) and path.suffix.lower() == ".zip":
            _unpack(path, target)
        else:
            raise ModelRefused(f"{path} is neither a folder nor a zip: put the model and its model.toml in a folder")
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ModelRefused(f"there is no room for {path.name} on the disk of {target.parent}") from error
        raise ModelRefused(f"{path} cannot be read: {error.strerror or error}") from error
    return _inner(target)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its path with forward slashes."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in found}


def digest_of(files: Mapping[str, str]) -> str:
    """One SHA-256 for all files: of the lines ``digest, two spaces, path``, sorted by path (as sha256sum prints)."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_members(archive: zipfile.ZipFile, *, every: bool = False) -> list[zipfile.ZipInfo]:
    """Give the files of a zip; :class:`ModelRefused` where a member is not what a model's file may be.

    ``every`` looks at those too that are left out when a model is unpacked.
    """
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise ModelRefused(f"the archive holds {len(members)} members; a model has at most {MAX_FILES}")
    kept: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in members:
        if member.is_dir() or (not every and _ignored(PurePosixPath(member.filename))):
            continue
        name = _safe_name(member.filename)
        _check_kind(member, name)
        total += member.file_size
        if total > MAX_BYTES:
            raise ModelRefused(f"the archive unpacks to more than {MAX_BYTES >> 30} GB")
        if member.file_size > SMALL and member.file_size > MAX_RATIO * max(1, member.compress_size):
            raise ModelRefused(f"{name} unpacks to more than {MAX_RATIO} times its size")
        if name.casefold() in kept:
            raise ModelRefused(f"the archive holds {name} twice")
        kept[name.casefold()] = member
    return list(kept.values())


def inside(folder: Path, name: str) -> Path:
    """Path of a file that a card or a configuration names; it must be a plain file within the folder."""
    path = folder / _safe_name(name)
    if path.is_symlink() or not path.is_file():
        raise ModelRefused(f"there is no file {name!r} in the model's folder")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelRefused(f"{name!r} leads out of the model's folder")
    return path


def _safe_name(name: str) -> str:
    """A relative path without ways out; :class:`ModelRefused` else."""
    path = PurePosixPath(name)
    odd = any(part in {"", ".", ".."} or "\\" in part or ":" in part or "\0" in part for part in path.parts)
    if (
        not name
        or path.is_absolute()
        or odd
        or len(path.parts) > MAX_DEPTH
        or len(name) > 500
        or not name.isprintable()
    ):
        raise ModelRefused(f"the name {name[:100]!r} leads out of the model's folder, or is no name of a file")
    return path.as_posix()


def _check_kind(member: zipfile.ZipInfo, name: str) -> None:
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise ModelRefused(f"{name} is a link or a device, not a file")
    if member.flag_bits & 0x1:
        raise ModelRefused(f"{name} is encrypted")


def _ignored(path: PurePosixPath | Path) -> bool:
    return any(part in IGNORED for part in path.parts)


def _unpack(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            left = MAX_BYTES
            members = check_members(archive)
            if sum(item.file_size for item in members) > max(SMALL_ARCHIVE, MAX_RATIO * path.stat().st_size):
                raise ModelRefused(f"{path.name} unpacks to more than {MAX_RATIO} times its size")
            for member in members:
                place = target / _safe_name(member.filename)
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source:
                    left -= _write(source, place, min(left, member.file_size), member.filename)
    except DAMAGED as error:
        raise ModelRefused(f"{path.name} is a damaged zip: {error}") from error


def _write(source: object, place: Path, limit: int, name: str) -> int:
    """Copy at most ``limit`` bytes; more than the directory of the zip announced is refused."""
    written = 0
    with place.open("xb") as file:
        while chunk := source.read(CHUNK):  # type: ignore[attr-defined]
            written += len(chunk)
            if written > limit:
                raise ModelRefused(f"{name} unpacks to more than it announces")
            file.write(chunk)
    return written


def _copy(path: Path, target: Path) -> None:
    total = 0
    for count, source in enumerate(_walk(path), start=1):
        relative = source.relative_to(path)
        if not stat.S_ISREG(source.lstat().st_mode):
            raise ModelRefused(f"{str(relative)!r} is a link or a device, not a file: put the file itself there")
        _safe_name(relative.as_posix())
        total += source.stat().st_size
        if count > MAX_FILES or total > MAX_BYTES:
            raise ModelRefused(f"the folder holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GB")
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place, follow_symlinks=False)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything in a folder that is no folder, links not followed."""
    for base, folders, files in os.walk(folder, followlinks=False):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in IGNORED and name not in links)
        yield from (Path(base) / name for name in sorted([*files, *links]) if name not in IGNORED)


def _inner(folder: Path) -> Path:
    """The one folder in a folder that holds nothing else."""
    entries = list(folder.iterdir())
    if not entries:
        raise ModelRefused("there is nothing in it")
    return entries[0] if len(entries) == 1 and entries[0].is_dir() and entries[0].name not in MODEL_FOLDERS else folder


#: A bundle's own folders.
MODEL_FOLDERS = frozenset({"configs", "models"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
