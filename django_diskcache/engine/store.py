"""What each keyed operation does, once, for all faces of the engine.

A key arrives *placed*: in its database form, with its raw flag and its hash. `wait` is the
seconds that a call may wait for a lock, None for ever; Timeout ends it.

A common write is one autocommitted statement. It becomes a transaction of several only when a
value file is involved that must be removed after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from . import files, hints, schema, tagging
from .connection import Wait, all_rows, changed_rows
from .copies import UNCHANGEABLE
from .disk import (
    GARBAGE,
    INT64_MAX,
    INT64_MIN,
    LOADS,
    MODE_PICKLE,
    MODE_RAW,
    Pinned,
    Place,
    Stored,
)
from .errors import ENOVAL, Foreign, Unreadable
from .faults import FAULTS, fault
from .integrity import MODES, WORD
from .nearcache import CHORES_EVERY
from .rows import Row, Rows
from .segment import GHOST_HITS

READ_ATTEMPTS = 3  # of a row whose file vanishes between the two looks: it was overwritten


class Store(Rows):
    """The entries of a shard, by key."""

    def _put(
        self, sql: str, row: Sequence[Any], number: int, wait: Wait, noted: bool = False
    ) -> bool | None:
        """Store a row; whether its key is new, or None when `sql` left another row alone.

        Where entries are not counted, nobody asks whether one is new.

        :param noted: whether the caller sees to the hints of several tags
        """
        if type(row[4]) is bytes and not noted and tagging.several(row[4]):
            return hints.put(self, self._put, sql, row, number, wait)
        if self.settings["max_entries"] is None:
            stored = self._change(sql, row, number, wait, changed_rows)
            return False if stored else None
        rows = self._change(schema.TELLING_NEW[sql], row, number, wait, all_rows)
        return bool(rows[0][0]) if rows else None

    def _live(self, place: Place, wait: Wait) -> Row | None:
        rows = self.database.run(schema.SELECT, place[:2], wait)
        if not rows:
            return None
        row = Row._make(rows[0])
        if not row.is_sound():
            self._refuse(place, row, wait, Unreadable())
            return None
        return row if row.expire is None or row.expire > self.clock() else None

    def _hit(self, place: Place) -> None:
        self.near.counts[self.number] += 1
        if self.near.note is not None:  # the policy's
            self.near.note(self.segment.slot(place[2]), self.clock())

    def _missed(self) -> None:
        self.near.counts[self.segment.shards + self.number] += 1

    def _stored(self, place: Place, stored: Stored, new: bool) -> None:
        if self.database.current() is None:
            self.note((place,), (stored,), new)
        else:
            self.after_commit(lambda: self.note((place,), (stored,), new))

    def note(self, places: Sequence[Place], encoded: Sequence[Stored], new: int) -> None:
        """The bookkeeping of committed writes, `new` of which added an entry."""
        if new:
            self._add_to_count(new)
        segment = self.segment
        now = self.clock()
        tracks = self.near.note is not None
        slots = []
        for place in places:
            slot = segment.slot(place[2])
            slots.append(slot)
            if tracks and self.policy.stored(slot, place[2], now):
                segment.add(GHOST_HITS, self.number, 1)
        size = 0
        for in_file, _, _, value in encoded:
            size += in_file
            if type(value) is str or type(value) is bytes:
                size += len(value)
        try:
            self.limits.wrote(self, slots, size, new)
        except FAULTS as error:  # the write is done: its caller is not told
            self.limits.failed(error)
        if abs(now - self.near.flushed) > CHORES_EVERY:
            self.near.chores()

    def load(self, key: Any, place: Place, wait: Wait, looked: list[Any] | None = None) -> Any:
        """The value, or ENOVAL, which the near cache remembers from now on.

        :param looked: the row of SELECT_VALUE is added to it, or None
        """
        segment = self.segment
        slot = segment.slot(place[2])
        stamp, now = segment.stamps[slot], self.clock()  # before the read, see nearcache
        rows = self.database.run(schema.SELECT_VALUE[place[1]], place[:1], wait)
        row = rows[0] if rows else None
        if looked is not None:
            looked.append(row)
        return self.loaded(key, place, slot, stamp, now, row, wait, self.near.put)

    def loaded(
        self,
        key: Any,
        place: Place,
        slot: int,
        stamp: int,
        now: float,
        row: Sequence[Any] | None,
        wait: Wait,
        remember: Callable[..., None],
    ) -> Any:
        """The value in a row of SELECT_VALUE, or ENOVAL.

        :param stamp: that of the slot before the row was read, at the time `now`
        :param remember: is called with an item of `NearCache.put_many`
        """
        name = key if type(key) is str else near_name(key, place)
        try:
            over = row is None or (row[0] is not None and row[0] <= now)
        except TypeError:  # it is no time: `get` looks at the whole row
            return self.get(place, ENOVAL, False, wait)[0]
        if row is None or over:
            self._missed()
            remember(name, slot, stamp, now, None, ENOVAL, None)
            return ENOVAL
        due, mode, stored = row
        filename = None
        try:
            if mode & schema.FILED:
                mode, filename, stored = mode - schema.FILED, stored, None
                if mode & MODES >= MODE_PICKLE and self.trust.signer is not None:
                    # Its signature is in a column that was not read.
                    return self.get(place, ENOVAL, False, wait)[0]
            mode, filename, stored = self.trust.verified(place, mode, filename, stored)
            value = self.disk.fetch(mode, filename, stored, False)
        except (OSError, Foreign, *GARBAGE):
            # Overwritten since? `get` looks at the whole row, and refuses what is wrong in it.
            return self.get(place, ENOVAL, False, wait)[0]
        self._hit(place)
        if self._native and filename is None:
            if type(value) in UNCHANGEABLE:
                remember(name, slot, stamp, now, due, value, None)
            else:
                remember(name, slot, stamp, now, due, stored, LOADS[mode])
        return value

    def get(
        self, place: Place, default: Any, read: bool, wait: Wait
    ) -> tuple[Any, float | None, Any]:
        """(value, expire time, tag), or (default, None, None)."""
        found = self.found(place, read, wait)
        if found is None:
            self._missed()
            return default, None, None
        self._hit(place)
        return found

    def found(
        self, place: Place, read: bool, wait: Wait
    ) -> tuple[Any, float | None, Any] | None:
        for _ in range(READ_ATTEMPTS):
            row = self._live(place, wait)
            if row is None:
                return None
            try:
                value = self.decode(place, row, read)
            except FileNotFoundError:
                continue  # overwritten or removed since; look again
            except Foreign as why:
                self._refuse(place, row, wait, why)
                return None
            return value, row.expire, tagging.given(row.tag)
        with suppress(*FAULTS):
            self._remove_lost(place, wait)
        return None

    def _remove_lost(self, place: Place, wait: Wait) -> None:
        """Remove an entry whose file is gone: it is a miss, for `add` as well."""
        with self.transact(wait):
            row = self._live(place, wait)
            if row is not None and row.filename is not None:
                try:
                    self.decode(place, row, False)
                except (FileNotFoundError, Foreign):
                    self.remove(place, wait)

    def contains(self, place: Place, wait: Wait) -> bool:
        """Whether the key has a live entry; no access is counted."""
        rows = self.database.run(schema.SELECT_EXPIRE, place[:2], wait)
        try:
            return bool(rows) and (rows[0][0] is None or rows[0][0] > self.clock())
        except TypeError:  # it is no time
            return self._live(place, wait) is not None

    def set(
        self,
        place: Place,
        key: Any,
        value: Any,
        expire: float | None,
        read: bool,
        tag: Any,
        wait: Wait,
    ) -> bool:
        """Store a value, whatever is there."""
        return self._set(place, key, value, self.due(expire), read, tag, wait)

    def _set(
        self,
        place: Place,
        key: Any,
        value: Any,
        due: float | None,
        read: bool,
        tag: Any,
        wait: Wait,
    ) -> bool:
        stored = self.encode(value, read, key, place)
        try:
            column = None if tag is None else tagging.stored(tag)
            row = self.row(place, stored, due, column)
            new = None
            if stored[2] is None:  # else it is like as not in place of another file
                new = self._put(schema.SET, row, place[2], wait)
            if new is None:
                new = self.replace(row, place[2], wait)
        except BaseException:
            self.give_up(stored)
            raise
        self._stored(place, stored, new)
        return True

    def give_up(self, stored: Stored) -> None:
        """What was encoded is not stored after all."""
        with suppress(*FAULTS):  # what made it fail may have come after the commit
            if stored[2] is not None and not self.database.run(schema.HAS_FILE, (stored[2],)):
                self._remove_file(stored[2])

    def replace(self, row: Sequence[Any], number: int, wait: Wait) -> bool:
        """Overwrite a row whose value was in a file, and remove the file; whether it is new."""
        with self.transact(wait):
            old = self.database.run(schema.SELECT_FILENAME, row[:2])
            new = self._put(schema.REPLACE, row, number, wait)
            self.discard(name for (name,) in old if name != row[-3])  # it may be stored already
        return bool(new)

    def add(
        self,
        place: Place,
        key: Any,
        value: Any,
        expire: float | None,
        read: bool,
        tag: Any,
        wait: Wait,
    ) -> bool:
        """Store a value unless the key has a live entry; whether it was stored."""
        if read and self._taken(place, wait):  # no file is copied for nothing
            return False
        due = self.due(expire)
        stored = self.encode(value, read, key, place)
        try:
            column = None if tag is None else tagging.stored(tag)
            row = self.row(place, stored, due, column)
            now = row[3]
            new = self._put(schema.ADD, [*row, now], place[2], wait)
            if new is None:
                if self._taken(place, wait):
                    self.give_up(stored)
                    return False
                with self.transact(wait):
                    if self._taken(place, wait):
                        self.give_up(stored)
                        return False
                    new = self.replace(row, place[2], wait)
        except BaseException:
            self.give_up(stored)
            raise
        self._stored(place, stored, new)
        return True

    def _taken(self, place: Place, wait: Wait) -> bool:
        """Whether an entry keeps an `add` from storing: it is live, and not seen as foreign."""
        row = self._live(place, wait)
        if row is None:
            return False
        try:
            if row.filename is None:
                self.decode(place, row, False)
            else:
                _, name, _ = self.trust.verified(place, row.mode, row.filename, row.value)
                if self._native and name is not None:  # it was not read to verify it
                    files.size(self.directory, name)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise fault(error, self.path) from error
        except Foreign as why:
            self.trust.warn(self.clock(), why)
            return False
        return True

    def incr(self, place: Place, key: Any, delta: Any, default: Any, wait: Wait) -> Any:
        """The new value of a number, kept with its expiry and tag.

        :raises KeyError: when there is no live entry and no default
        :raises TypeError: when the value and delta cannot be added
        """
        now = self.clock()
        if self._native and type(delta) is int and INT64_MIN < delta <= INT64_MAX:
            least = INT64_MIN - min(delta, 0)
            most = INT64_MAX - max(delta, 0)
            number = place[2] & WORD
            sealed = (MODE_RAW, delta, delta, number)
            whose = (*place[:2], now, least, most, MODE_RAW, number)
            values = (delta, now, *sealed, *whose)
            changed = self._change(schema.INCREMENT, values, place[2], wait, all_rows)
            if changed:
                return changed[0][0]
        with self.transact(wait):
            found = self.found(place, False, wait)
            if found is None:
                if default is None:
                    raise KeyError(key)
                new = default + delta
                self._set(place, key, new, None, False, None, wait)
                return new
            old, due, tag = found
            row = self._live(place, wait)
            try:
                new = old + delta
            except TypeError:
                kind = type(old).__name__
                raise TypeError(f"cannot add {delta!r} to a value of type {kind}") from None
            pinned = row is not None and row.is_pinned()
            self._set(place, key, Pinned(new) if pinned else new, due, False, tag, wait)
            return new

    def pop(self, place: Place, default: Any, wait: Wait) -> tuple[Any, float | None, Any]:
        """Remove an entry: (value, expire time, tag), or (default, None, None)."""
        row = self.remove(place, wait, keep_file=True)
        if row is None:
            return default, None, None
        try:
            value = self.decode(place, row, False)
        except FileNotFoundError:
            return default, None, None
        except Foreign as why:
            self.trust.warn(self.clock(), why)
            return default, None, None
        finally:
            self.discard([row.filename])
        return value, row.expire, tagging.given(row.tag)

    def delete(self, place: Place, wait: Wait) -> bool:
        """Remove an entry; whether it was live."""
        values = (*place[:2], self.clock())
        if self._change(schema.DELETE_PLAIN, values, place[2], wait, changed_rows):
            self.count(-1)
            return True
        # Mostly there is none. Else it has expired or has a file, and is removed in full.
        return bool(self.database.run(schema.SELECT_EXPIRE, place[:2], wait)) and (
            self.remove(place, wait) is not None
        )

    def remove(self, place: Place, wait: Wait, keep_file: bool = False) -> Row | None:
        """Remove the row of a key; the row, if it was live."""
        rows = self._change(schema.DELETE, place[:2], place[2], wait, all_rows)
        if not rows:
            return None
        self.count(-1)
        row = Row._make(rows[0])
        if not row.is_sound():
            self.trust.warn(self.clock(), Unreadable())
            self.discard([row.filename])
            return None
        live = row.expire is None or row.expire > self.clock()
        if not (keep_file and live):
            self.discard([row.filename])
        return row if live else None

    def remove_dead(self, place: Place, wait: Wait) -> None:
        """Remove an entry that has expired or whose file is gone; leave a good one alone."""
        with self.transact(wait):
            if self.found(place, False, wait) is None:
                self.remove(place, wait)


def near_name(key: Any, place: Place) -> Any:
    """What the near cache knows a key by.

    A text is its own name. Other keys are equal in Python that are not in the database, such
    as (1,) and (1.0,): there the database's form decides.
    """
    return key if type(key) is str else place[:2]
