"""Checks with --deploy: the whole message, on real directories, which stay as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Tags, Warning, run_checks
from django.test import override_settings

from django_diskcache import DjangoCache, filesystems
from django_diskcache.deployment import check_deployment
from django_diskcache.engine import footprint
from django_diskcache.engine.sqlite import has_wal_reset_bug, origin, sqlite3
from django_diskcache.filesystems import filesystem, loose

BACKEND = "django_diskcache.DjangoCache"
SECRET = "k3yWith-plenty-of-different-characters-0123456789-XYZ"


@pytest.fixture(autouse=True)
def _a_good_place(monkeypatch: pytest.MonkeyPatch) -> Any:
    """This machine may well have the bug or no disk: each test brings its own trouble."""
    monkeypatch.setattr("django_diskcache.deployment.has_wal_reset_bug", lambda: False)
    monkeypatch.setattr("django_diskcache.filesystems.filesystem", lambda path: "ext4")
    with override_settings(SECRET_KEY=SECRET):
        yield


def found(location: Path, **entry: Any) -> list[Any]:
    options = {"size_limit": "2MB", **entry.pop("OPTIONS", {})}
    entry = {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options, **entry}
    with override_settings(CACHES={"x": entry}):
        return check_deployment()


def snapshot(directory: Path) -> list[Any]:
    paths = [directory, *sorted(directory.rglob("*"))]
    return [(str(path), os.lstat(path).st_mode, os.lstat(path).st_mtime_ns) for path in paths]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """The directory of a cache that was used, with a value file."""
    cache = DjangoCache(tmp_path / "cache", {})
    cache.set_many({"a": 1, "b": b"x" * 100_000})
    cache.shutdown()
    return tmp_path / "cache"


def test_nothing_to_say(used: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert found(used) == []
    assert found(tmp_path / "to" / "come") == []
    assert snapshot(tmp_path) == before


def test_a_loose_directory_is_told_and_left_as_it_is(used: Path) -> None:
    used.chmod(0o755)
    before = snapshot(used)
    assert found(used) == [
        Warning(
            f"Other users may look into your 'x' cache: {str(used)!r} has mode 0755.",
            hint=f"Run: chmod -R go= {str(used)!r}",
            id="django_diskcache.W101",
        )
    ]
    assert snapshot(used) == before


@pytest.mark.parametrize("pattern", ["000", "000/cache.sqlite3", "segment", "*/??/*.val"])
def test_a_loose_file_is_told(used: Path, pattern: str) -> None:
    (path,) = used.glob(pattern)
    path.chmod(path.stat().st_mode | 0o004)
    (message,) = found(used)
    mode = "0704" if path.is_dir() else "0604"
    assert message.msg == (
        f"Other users may look into your 'x' cache: {str(path)!r} has mode {mode}."
    )


def test_loose_files_are_counted(used: Path) -> None:
    for path in used.glob("00?/cache.sqlite3"):
        path.chmod(0o660)
    (message,) = found(used)
    assert message.msg == (
        "Other users may look into your 'x' cache: "
        f"{str(used / '000' / 'cache.sqlite3')!r} has mode 0660, and 7 more in it."
    )
    assert len(loose(str(used), most=10)) < 8
    os.system(message.hint.removeprefix("Run: "))
    assert found(used) == []


def test_a_directory_of_another_user(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = used.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    assert found(used) == [
        Warning(
            f"The directory of your 'x' cache, {str(used)!r}, belongs to user "
            f"{filesystems.user_name(owner)}, and this process runs as 54321.",
            hint=(
                "Run the site and its commands as one user, and give the directory to it with "
                "chown -R."
            ),
            id="django_diskcache.W102",
        )
    ]


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.glusterfs"]
)
def test_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("django_diskcache.filesystems.filesystem", lambda path: kind)
    assert found(tmp_path / "cache") == [
        Warning(
            f"Your 'x' cache is on a network filesystem ({kind}), where SQLite's locks and "
            "shared memory do not work.",
            hint="Move LOCATION to a local disk; each machine has a cache of its own.",
            id="django_diskcache.W103",
        )
    ]


def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_diskcache.filesystems.filesystem", lambda path: "tmpfs")
    assert found(tmp_path / "cache") == [
        Warning(
            "Your 'x' cache is on a filesystem in memory (tmpfs): it takes memory from the "
            "site and is empty after a reboot.",
            hint="Move LOCATION to a disk; what is read often is kept in memory anyway.",
            id="django_diskcache.W104",
        )
    ]


def test_too_little_space(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = footprint.of_cache(str(used), len(list(used.glob("[0-9]*"))))
    assert held > 100_000
    monkeypatch.setattr("django_diskcache.filesystems.free", lambda path: 10_000_000 - held)
    assert found(used, OPTIONS={"size_limit": 10_000_000}) == []
    assert found(used, OPTIONS={"size_limit": 10_500_000}) == [
        Warning(
            "The disk will be full before your 'x' cache has reached its size_limit of "
            "10,500,000 bytes: 500,000 are missing.",
            hint="Lower size_limit, or make room on the disk.",
            id="django_diskcache.W105",
        )
    ]


def test_free_is_what_the_system_says(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert filesystems.free(str(tmp_path)) == pytest.approx(
        status.f_bavail * status.f_frsize, rel=0.1
    )


def test_signing_off(tmp_path: Path) -> None:
    assert found(tmp_path / "cache", OPTIONS={"signing": "off"}) == [
        Warning(
            "Your 'x' cache does not sign what it pickles: whoever can write in its directory "
            "can run code in your site.",
            hint="Remove the option signing, which is on by default.",
            id="django_diskcache.W106",
        )
    ]


@pytest.mark.parametrize("key", ["short", "ab" * 30, f"django-insecure-{SECRET}", b"bytes"])
def test_an_insecure_key(tmp_path: Path, key: str | bytes) -> None:
    with override_settings(SECRET_KEY=key):
        assert found(tmp_path / "cache") == [
            Warning(
                "Your caches sign what they pickle with SECRET_KEY, which is easy to guess.",
                hint=(
                    "Set SECRET_KEY to 50 or more random characters, without a fallback; what "
                    "is cached becomes a miss."
                ),
                id="django_diskcache.W107",
            )
        ]


def test_the_wal_reset_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_diskcache.deployment.has_wal_reset_bug", lambda: True)
    assert found(tmp_path / "cache") == [
        Warning(
            f"SQLite {sqlite3.sqlite_version}, which comes from {origin()}, has the WAL-reset "
            "bug: writers that meet a checkpoint can damage a shard.",
            hint='Install a newer one for your caches: pip install "django-diskcache[sqlite]"',
            id="django_diskcache.W108",
        )
    ]
    assert found(tmp_path / "cache", OPTIONS={"sqlite_journal_mode": "truncate"}) == []


def test_sessions_in_a_cache_that_evicts(tmp_path: Path) -> None:
    sessions = {"SESSION_CACHE_ALIAS": "x"}
    backends = "django.contrib.sessions.backends"
    with override_settings(SESSION_ENGINE=f"{backends}.cache", **sessions):
        assert found(tmp_path / "cache") == [
            Warning(
                "Sessions are kept in your 'x' cache alone, which evicts: when it is full, "
                "visitors are logged out.",
                hint=(
                    f"Set SESSION_ENGINE to '{backends}.cached_db', or keep sessions in a "
                    "cache of their own with the eviction_policy 'none'."
                ),
                id="django_diskcache.W109",
            )
        ]
        assert found(tmp_path / "cache", OPTIONS={"eviction_policy": "none"}) == []
    with override_settings(SESSION_ENGINE=f"{backends}.cached_db", **sessions):
        assert found(tmp_path / "cache") == []
    with override_settings(SESSION_ENGINE=f"{backends}.cache", SESSION_CACHE_ALIAS="y"):
        assert found(tmp_path / "cache") == []


def test_they_run_with_deploy_alone(used: Path) -> None:
    used.chmod(0o755)
    entry = {"BACKEND": BACKEND, "LOCATION": used}
    with override_settings(CACHES={"default": entry}):
        assert run_checks(tags=[Tags.caches]) == []
        messages = run_checks(tags=[Tags.caches], include_deployment_checks=True)
    assert [each.id for each in messages] == ["django_diskcache.W101"]


def test_a_mistake_does_not_keep_them_from_running(used: Path) -> None:
    used.chmod(0o755)
    messages = found(used, OPTIONS={"size_limt": 1, "shards": "x"})
    assert [each.id for each in messages] == ["django_diskcache.W101"]


MOUNTS = r"""
22 28 0:20 / / rw,relatime shared:7 - ext4 /dev/sda1 rw
23 22 0:21 / /var rw - xfs /dev/sdb1 rw
24 23 0:22 / /var/cache rw,nosuid shared:5 master:1 - nfs4 server:/export rw
25 22 0:23 / /mnt/my\040disk rw - tmpfs tmpfs rw
26 22 0:24 / /mnt/twice rw - ext4 /dev/sdc1 rw
27 26 0:25 / /mnt/twice rw - btrfs /dev/sdd1 rw
not a mount
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/site", "ext4"),
        ("/var", "xfs"),
        ("/var/cachet", "xfs"),
        ("/var/cache", "nfs4"),
        ("/var/cache/site", "nfs4"),
        ("/mnt/my disk/cache", "tmpfs"),
        ("/mnt/twice/cache", "btrfs"),
    ],
)
def test_the_filesystem_of_a_path(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert filesystem(path, str(mounts)) == kind
    assert filesystem(path, str(tmp_path / "missing")) == ""


@pytest.mark.skipif(not os.path.exists(filesystems.MOUNTS), reason="needs Linux")
def test_the_filesystem_of_this_machine() -> None:
    assert filesystem("/proc/self") == "proc"


def test_this_sqlite_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    bug = [each for each in found(tmp_path / "cache") if each.id == "django_diskcache.W108"]
    assert bool(bug) == has_wal_reset_bug()
