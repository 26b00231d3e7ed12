"""What the operating system says of a directory, found out without changing anything."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

MOUNTS = "/proc/self/mountinfo"
# https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html: the mount point is the fifth
# field; the type comes after a field that is a hyphen. Spaces and the like are octal.
MOUNT = re.compile(r"(?:\S+ ){4}(?P<point>\S+) .*? - (?P<type>\S+)")
NETWORK = re.compile(
    r"9p|afs|ceph|cifs|coda|fuse\.(ceph|gluster|rclone|s3|sshfs).*|gfs2?|gpfs|lustre|ncpfs|"
    r"nfs4?|ocfs2|orangefs|smb3?|smbfs|virtiofs|beegfs"
)
MEMORY = re.compile(r"ramfs|tmpfs")
LOOKED_AT = 1000  # directories and files whose modes are looked at


def filesystem(path: str, mounts: str = MOUNTS) -> str:
    """The type of the filesystem that an absolute path is on; '' where that cannot be told."""
    try:
        lines = Path(mounts).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""  # not Linux
    longest, found = -1, ""
    for line in lines:
        if match := MOUNT.match(line):
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), match["point"])
            below = path == point or path.startswith(point.rstrip("/") + "/")
            if below and len(point) >= longest:  # of two on one point the later one is on top
                longest, found = len(point), match["type"]
    return found


class Loose(NamedTuple):
    """Something that others may read or write."""

    path: str
    mode: int


def loose(directory: str, most: int = LOOKED_AT) -> list[Loose]:
    """What in a cache's directory has a mode looser than 0700, or 0600 for a file.

    :param most: a large cache is not looked through: this many are enough to know
    """
    found = []
    for path, mode in islice(_inside(directory), most):
        # A link's own mode means nothing.
        if mode & 0o077 and not stat.S_ISLNK(mode):
            found.append(Loose(path, stat.S_IMODE(mode)))
    return found


def _inside(directory: str) -> Iterator[tuple[str, int]]:
    """The directory and all that is in it, each with its mode."""
    with suppress(OSError):
        yield directory, os.lstat(directory).st_mode
    inner = [directory]
    while inner:
        with suppress(OSError), os.scandir(inner.pop()) as found:
            entries = sorted(found, key=lambda entry: entry.name)
            for entry in entries:
                with suppress(OSError):  # it is gone
                    yield entry.path, entry.stat(follow_symlinks=False).st_mode
            inner += [
                each.path for each in reversed(entries) if each.is_dir(follow_symlinks=False)
            ]


def free(path: str) -> int:
    """Bytes that this user may still write on the filesystem of an existing path."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def user_name(number: int) -> str:
    """The name of a user, or the number where there is none."""
    import pwd  # not at start-up

    try:
        return repr(pwd.getpwuid(number).pw_name)
    except KeyError:
        return str(number)
