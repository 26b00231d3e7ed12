"""Claims on what is computed: one holder of all threads and processes, freed when he dies."""

from __future__ import annotations

import gc
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache
from django_diskcache.engine.claims import Claim, _files, claim, place_of
from tests.engine.processes import Companion

# Python warns of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def taken(held: Claim | None) -> Claim:
    """A claim that is there."""
    assert held is not None
    return held


def elsewhere(directory: Any, place: int = 7) -> bool:
    """Whether another process could have the claim; a forked child that ends at once."""
    child = os.fork()
    if child == 0:
        os._exit(0 if claim(str(directory), place) is not None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_has_it_at_a_time(tmp_path: Path) -> None:
    mine = taken(claim(str(tmp_path), 7))
    assert claim(str(tmp_path), 7) is None
    assert not elsewhere(tmp_path)
    other = taken(claim(str(tmp_path), 8))
    other.release()  # and the file is not closed: that would free the first
    assert not elsewhere(tmp_path)
    mine.release()
    mine.release()
    assert elsewhere(tmp_path)
    with taken(claim(str(tmp_path), 7)):
        assert not elsewhere(tmp_path)
    assert elsewhere(tmp_path)


def test_nothing_is_written_and_nothing_stays_open(tmp_path: Path) -> None:
    with taken(claim(str(tmp_path), 2**62 - 1)):
        assert len(_files) == 1
    assert not _files
    assert (tmp_path / "claims").stat().st_size == 0
    assert (tmp_path / "claims").stat().st_mode & 0o777 == 0o600


def test_one_that_is_lost_is_freed(tmp_path: Path) -> None:
    lost = taken(claim(str(tmp_path), 7))
    del lost
    gc.collect()
    assert elsewhere(tmp_path)


def _hold(directory: str) -> Any:
    return claim(directory, 7)


def _nothing(held: Any) -> bool:
    return held is not None


def test_a_holder_that_is_killed_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Companion(_hold, str(tmp_path)) as holder:
        assert holder.call(_nothing)
        assert claim(str(tmp_path), 7) is None
        holder._process.kill()
        holder._process.join()
        taken(claim(str(tmp_path), 7)).release()
        raise ZeroDivisionError  # it has ended otherwise than it should


def test_a_child_has_no_claims_and_takes_none_away(tmp_path: Path) -> None:
    mine = taken(claim(str(tmp_path), 7))
    (descriptor,) = next(iter(_files.values())).descriptors
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.fstat(descriptor)  # the child has closed it
            os._exit(2)
        first = claim(str(tmp_path), 7)
        mine.release()  # it is the parent's
        second = claim(str(tmp_path), 7)
        other = claim(str(tmp_path), 8)
        os._exit(0 if first is None and second is None and other is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not elsewhere(tmp_path)
    mine.release()


def test_a_directory_that_was_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    old = taken(claim(str(directory), 7))
    shutil.rmtree(directory)
    directory.mkdir()
    new = taken(claim(str(directory), 7))
    old.release()
    assert not elsewhere(directory)
    new.release()
    assert elsewhere(directory)


def test_a_fault_keeps_nobody_away(tmp_path: Path) -> None:
    assert claim(str(tmp_path / "missing"), 7) is not None
    (tmp_path / "claims").symlink_to("/nowhere")
    assert claim(str(tmp_path), 7) is not None
    assert not (tmp_path / "claims").is_symlink()


def test_places_are_those_of_keys() -> None:
    assert place_of(1) == place_of(1.0) != place_of("1")
    assert 0 <= place_of("key") < 2**62


def test_of_a_cache(cache: Cache) -> None:
    with taken(cache.claim(("key", 1))):
        assert cache.claim(("key", 1)) is None
        assert cache.claim("key") is not None
        with cache.transact():
            assert cache.claim(("key", 1)) is not None
    assert cache.check() == []
