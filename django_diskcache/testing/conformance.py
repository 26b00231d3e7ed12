"""What any `Disk` and any `Policy` must do: for classes of your own, under pytest or unittest.

    class TestMyDisk(DiskConformance):  # with unittest.TestCase as a second base for unittest
        disk = MyDisk

They are the same tests that the classes of this package have. They need neither pytest nor
Django, and leave nothing behind.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import SkipTest

from ..engine import EVICTION_POLICY, Cache, Disk, EmptyDirWarning, FanoutCache
from ..engine.disk import PINNED
from .clocks import CacheClock

SOON = 10  # bytes from which on values of a Disk under test are put into files
HASHES = """
import json, pickle, sys
disk, arguments, keys = pickle.load(sys.stdin.buffer)
print(json.dumps([disk("unused", **arguments).hash(key) for key in keys]))
"""


def own_caches(directory: str, shards: int, **settings: Any) -> Any:
    """A `Cache`, or of several shards a `FanoutCache`, on a clock that stands still."""
    clock = CacheClock()
    clock.stop()
    settings = {"timeout": 60, "sqlite_synchronous": 0, "clock": clock, **settings}
    if shards == 1:
        return Cache(directory, **settings)
    return FanoutCache(directory, shards, **settings)


class DiskConformance:
    """What holds whatever the `Disk`.

    :cvar disk: the class
    :cvar arguments: of it, without the prefix that they have as settings (``disk_``)
    :cvar keys: some that it takes, no two of them equal
    :cvar values: some that it takes and returns as they were
    """

    disk: ClassVar[type[Disk]]
    arguments: ClassVar[Mapping[str, Any]] = {}
    keys: ClassVar[Sequence[Hashable]] = ("text", "", "ä\n", 1, -(2**63), 2.5, None, "x" * 300)
    values: ClassVar[Sequence[Any]] = (
        *("text", "", "ä" * 100, 7, -(2**63), 2**70, 1.5, None, True),
        *(["a", 1, None], {"a": [1, {"b": "c"}]}, ["x" * 100]),
    )

    def made(self, directory: str = "unused") -> Disk:
        """A `Disk` that puts what is not quite small into files."""
        arguments = {"min_file_size": SOON, "pickle_protocol": 5, **self.arguments}
        return self.disk(directory, **arguments)

    @contextmanager
    def cache(self, shards: int, secret: str | None = None) -> Iterator[Any]:
        """A cache with this Disk."""
        settings = {f"disk_{name}": value for name, value in self.arguments.items()}
        settings.setdefault("disk_min_file_size", SOON)
        with (
            TemporaryDirectory() as directory,
            own_caches(directory, shards, disk=self.disk, secret=secret, **settings) as cache,
        ):
            yield cache

    def test_put_and_get_are_inverse(self) -> None:
        disk = self.made()
        for key in self.keys:
            stored, raw = disk.put(key)
            assert type(stored) in (str, int, float, bytes), f"{key!r} becomes {stored!r}"
            found = disk.get(stored, raw)
            assert found == key, f"{key!r} comes back as {found!r}"
            again = disk.put(copy.deepcopy(key))
            assert again == (stored, raw), f"{key!r} becomes {stored!r}, then {again[0]!r}"

    def test_hashes_are_of_32_bits_and_the_same_for_equal_keys(self) -> None:
        disk = self.made()
        for key in self.keys:
            number = disk.hash(key)
            assert 0 <= number < 2**32, f"the hash of {key!r} is {number}"
            assert disk.hash(copy.deepcopy(key)) == number, f"of {key!r} there are two hashes"

    def test_hashes_are_the_same_in_every_process(self) -> None:
        disk = self.made()
        arguments = {"min_file_size": SOON, "pickle_protocol": 5, **self.arguments}
        try:
            given = pickle.dumps((self.disk, arguments, list(self.keys)))
        except (pickle.PicklingError, AttributeError) as error:
            raise SkipTest(f"another process cannot import the class: {error}") from error
        paths = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
        seed = "7" if os.environ.get("PYTHONHASHSEED") != "7" else "8"
        run = subprocess.run(
            [sys.executable, "-c", HASHES],
            input=given,
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed},
        )
        assert json.loads(run.stdout) == [disk.hash(key) for key in self.keys], (
            "another process has other hashes, and would look for keys in other shards"
        )

    def test_store_and_fetch_are_inverse(self) -> None:
        with TemporaryDirectory() as directory:
            disk = self.made(directory)
            for value in self.values:
                size, mode, filename, stored = disk.store(value, False, key=self.keys[0])
                found = disk.fetch(mode, filename, stored, False)
                assert found == value, f"{value!r} comes back as {found!r}"
                assert type(found) is type(value), f"{value!r} comes back as {found!r}"
                if filename is not None:
                    path = Path(directory, filename)
                    assert path.stat().st_size == size, f"{path} has not {size} bytes"
                    assert not path.stat().st_mode & 0o077, f"others may read {path}"
                    assert not path.parent.stat().st_mode & 0o077, f"or {path.parent}"
                    disk.remove(filename)
                    assert not path.exists(), f"{path} is still there"
                    disk.remove(filename)  # it may be gone

    def test_streams_are_copied(self) -> None:
        content = os.urandom(2**20) + b"the end"
        with TemporaryDirectory() as directory:
            disk = self.made(directory)
            size, mode, filename, stored = disk.store(
                io.BytesIO(content), True, key=self.keys[0]
            )
            with disk.fetch(mode, filename, stored, True) as file:
                assert file.read() == content, "an open file has other bytes than it was given"
            assert filename is not None, "what is stored with read=True goes into a file"
            assert size == Path(directory, filename).stat().st_size

    def test_arguments_that_it_does_not_take(self) -> None:
        try:
            self.disk("unused", no_such_argument=1)
        except TypeError:
            return
        raise AssertionError("an argument that it does not know is to be a TypeError")

    def test_in_a_cache(self) -> None:
        self._use(1, None)

    def test_in_a_cache_with_several_shards(self) -> None:
        self._use(4, None)

    def test_in_a_cache_that_signs(self) -> None:
        self._use(2, "secret")

    def _use(self, shards: int, secret: str | None) -> None:
        entries = dict(zip(self.keys, cycle(self.values), strict=False))
        with self.cache(shards, secret) as cache:
            for key, value in entries.items():
                assert cache.set(key, value, tag="tag")
                assert cache[key] == value
                assert cache[key] == value  # from the near cache
            cache.engine.near.clear()
            assert cache.get_many(entries) == entries
            assert set(cache) == set(cache.iterkeys()) == set(entries)
            for key, value in list(entries.items())[::2]:
                assert key in cache
                assert cache.pop(key) == entries.pop(key) == value
                assert not cache.delete(key)
            for key in entries:
                entries[key] = self.values[0]
                assert not cache.add(key, self.values[1])
                cache[key] = self.values[0]
            cache.close()
            assert {key: cache[key] for key in cache} == entries
            self._check(cache)
            assert cache.evict("tag") == 0
            assert cache.clear() == len(entries)
            self._check(cache)

    def _check(self, cache: Any) -> None:
        found = [each for each in cache.check() if each.category is not EmptyDirWarning]
        assert not found, [str(each.message) for each in found]


class PolicyConformance:
    """What holds whatever the policy that evicts.

    :cvar policy: the class, its dotted path or its name
    :cvar shards: of the cache that it is tested on
    """

    policy: Any
    shards: int = 1

    @contextmanager
    def cache(self, entries: int, **settings: Any) -> Iterator[Any]:
        """A cache with this policy, and with so many entries of 100 bytes."""
        with (
            TemporaryDirectory() as directory,
            own_caches(
                directory, self.shards, eviction_policy=self.policy, **settings
            ) as cache,
        ):
            for number in range(entries):
                cache[number] = b"x" * 100
            yield cache

    def test_as_many_go_as_must(self) -> None:
        with self.cache(50, max_entries=50, cull_frequency=10) as cache:
            cache["new"] = 1
            assert len(cache) == 51 - 5
            assert "new" in cache
            assert cache.evictions()["entries"] == 5
            assert cache.evictions()["freed"] >= 500

    def test_it_goes_on_for_ever(self) -> None:
        with self.cache(30, max_entries=30, cull_frequency=100) as cache:
            for number in range(100):
                cache[f"key-{number}"] = b"x" * 100
                assert f"key-{number}" in cache
                cache.get(f"key-{number // 2}")
                assert len(cache) <= 30
            assert len(cache) >= 29

    def test_all_but_one_can_go(self) -> None:
        with self.cache(40, max_entries=40, cull_frequency=0) as cache:
            for number in range(40):
                cache.get(number)
            cache["new"] = 1
            assert list(cache) == ["new"]

    def test_what_is_pinned_stays(self) -> None:
        with self.cache(20, max_entries=20, cull_frequency=2) as cache:
            for store in cache.engine.stores:
                store.database.run("UPDATE cache SET mode = mode | ? WHERE key < 8", (PINNED,))
            for number in range(100, 200):
                cache[number] = b"x"
            assert set(range(8)) <= set(cache)
            cache.reset("size_limit", 1)
            cache.cull()
            assert set(cache) == set(range(8))
            assert cache.clear() == 8

    def test_what_has_expired_goes_first(self) -> None:
        with self.cache(20, max_entries=30, cull_frequency=3) as cache:
            for number in range(10):
                cache.set(f"dead-{number}", 1, expire=5)
            cache.engine.clock.advance(10)
            cache["new"] = 1
            assert len(cache) == 21
            assert {"expired": 10, "entries": 0}.items() <= cache.evictions().items()

    def test_another_policy_takes_over(self) -> None:
        evicting = [name for name, policy in EVICTION_POLICY.items() if policy.evicts]
        with self.cache(30, max_entries=30, cull_frequency=3) as cache:
            for number in range(30):
                cache.get(number)
            for other in (*evicting, "none", self.policy):
                cache.reset("eviction_policy", other)
                for number in range(40):
                    cache[other, number] = 1
                if other != "none":
                    assert len(cache) <= 30
            assert len(cache) <= 30

    def test_nothing_that_was_overwritten_since_goes(self) -> None:
        with self.cache(30, max_entries=1000) as cache:
            engine = cache.engine

            class Meanwhile(type(engine.limits.policy)):  # type: ignore[misc]
                def victims(self, *args: Any) -> Any:
                    found = list(islice(super().victims(*args), 5))
                    engine.clock.advance(1)
                    for number in range(30):  # by another process
                        cache[number] = b"y" * 100
                    return found

            engine.limits.policy = Meanwhile(engine.segment)
            assert engine.limits._evict(entries=5, spare=None) == 0
            assert len(cache) == 30
