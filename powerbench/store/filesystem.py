"""Which kind of file system a path lies on: SQLite's write-ahead log is unsafe where hosts share files."""

from __future__ import annotations

from pathlib import Path

_SHARED = (
    "nfs",
    "cifs",
    "smb",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "9p",
    "ncpfs",
    "ocfs",
    "gfs",
    "glusterfs",
    "vboxsf",
    "virtiofs",
)
_LOCAL_FUSE = ("fuseblk", "fuse.fuse-overlayfs")
_MOUNTS = Path("/proc/self/mountinfo")


def is_shared(path: Path, mounts: str | None = None) -> bool:
    """Whether other hosts may write the file system of ``path`` (an existing file or folder).

    FUSE counts as shared unless it is known to be local. ``mounts`` is the text of Linux' ``mountinfo``;
    where the system has none, the file system counts as local.
    """
    if mounts is None:
        if not _MOUNTS.exists():
            return False
        mounts = _MOUNTS.read_text(errors="surrogateescape")
    kind = filesystem_of(path.resolve(), mounts)
    return kind.startswith(_SHARED) or (kind.startswith("fuse") and kind not in _LOCAL_FUSE)


def filesystem_of(path: Path, mounts: str) -> str:
    """The file system's name (``ext4``, ``nfs4``, ``fuse.sshfs``) of an absolute path; empty if unknown."""
    longest, kind = -1, ""
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        point = Path(_unescaped(before.split(" ")[4]))
        if path.is_relative_to(point) and len(point.parts) >= longest:  # a later mount covers an earlier one
            longest, kind = len(point.parts), after.split(" ")[0]
    return kind


def _unescaped(field: str) -> str:
    """Spaces, tabs, newlines and backslashes are written as octal escapes in ``mountinfo``."""
    for character in " \t\n\\":
        field = field.replace(f"\\{ord(character):03o}", character)
    return field
