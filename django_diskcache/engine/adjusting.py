"""The settings of an engine, while it is in use.

They are kept in the first shard's database, so that a directory opened without any is used as
it was last configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from . import schema
from .clock import Clock
from .compression import compressor_of
from .disk import Disk
from .errors import ENOVAL
from .eviction import Queue, policy_type
from .limits import Limits
from .nearcache import NearCache
from .options import DEFAULT_SETTINGS, OPTIONS, POLICIES, did_you_mean, read_settings
from .segment import POLICY, Segment
from .store import Store

STORABLE = (int, float, str, bytes, type(None))  # an argument of a Disk may be anything else


class Adjusting:
    """Mixed into the engine."""

    directory: str
    clock: Clock
    settings: dict[str, Any]
    disk_type: type[Disk]
    disks: list[Disk]
    stores: list[Store]
    segment: Segment
    near: NearCache
    limits: Limits

    if TYPE_CHECKING:

        def close(self) -> None:
            """That of the engine."""

    def configure(self, settings: Mapping[str, Any], save: bool = True) -> None:
        """Put parsed settings in force, and keep them for the next who opens the directory."""
        before = dict(self.settings)
        compressor_of({**before, **settings}, self.disk_type)  # it may raise: before any change
        if any(name not in before for name in settings):
            # An argument of a Disk that was made without: it is asked whether it takes it.
            self._make_disk(self.directory, {**before, **settings})
        self.settings.update(settings)
        self._apply_disk_settings()
        changed = {name for name in settings if settings[name] != before.get(name, ENOVAL)}
        if any(name.startswith("sqlite_") for name in changed):
            self.close()  # pragmas are set when a connection is opened
        if "eviction_policy" in changed:
            self._set_policy()
        if "near_cache_size" in changed:
            self.near.resize(self.settings["near_cache_size"])
        self.near.flush()
        self.near.counting = bool(self.settings["statistics"])
        if {"max_entries", "size_limit"} & changed:
            self.limits.begin()
        if save:
            self._save(settings)
        if settings.get("tag_index"):
            self.index_tags(True)

    def _set_policy(self) -> None:
        """Let the policy of the settings begin, on what another has left or anew."""
        policy = policy_type(self.settings["eviction_policy"])(self.segment)
        self.limits.policy = policy
        for store in self.stores:
            store.policy = policy
        self.near.note = policy.hit if policy.tracks else None
        cells, place = self.segment.cells, self.segment.cell(POLICY, 0)
        mark = crc32(f"{type(policy).__module__}.{type(policy).__qualname__}".encode())
        if policy.evicts and cells[place] != mark:
            cells[place] = mark
            self.segment.forget_access()
            policy.begin([Queue(store, (), self.clock()) for store in self.stores])

    def _apply_disk_settings(self) -> None:
        for name, value in self.settings.items():
            if name.startswith("disk_"):
                for disk in self.disks:
                    setattr(disk, name[len("disk_") :], value)
        compressor = compressor_of(self.settings, self.disk_type)
        for disk in self.disks:
            disk.serializer = self.settings["serializer"]
            disk.compressor = compressor

    def _load(self) -> dict[str, Any]:
        known = {}
        for name, value in self.stores[0].database.run(schema.LOAD_SETTINGS):
            if name == "eviction_policy" and value not in POLICIES:
                continue  # a dotted path: what is written there is not to be imported
            try:
                parsed = read_settings({name: value})
                if name not in OPTIONS:
                    # An argument of a Disk. Set on it unseen, it could be anything of it.
                    self._make_disk(self.directory, {**DEFAULT_SETTINGS, **parsed})
            except (TypeError, ValueError):
                continue  # of another version, or damaged: the default serves
            known.update(parsed)
        try:
            compressor_of({**DEFAULT_SETTINGS, **known}, self.disk_type)
        except ValueError:  # by the Disk that the directory was used with before, say
            known.pop("compression")
        return known

    def _save(self, settings: Mapping[str, Any]) -> None:
        database = self.stores[0].database
        known = self._load()
        new = {
            name: value
            for name, value in settings.items()
            if isinstance(value, STORABLE) and (name not in known or known[name] != value)
        }
        if new:
            with database.transact():
                for item in new.items():
                    database.run(schema.SAVE_SETTING, item)

    def reset(self, name: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Set a setting, or without a value load what the directory has.

        :raises KeyError: when there is no such setting
        :raises ValueError: when it does not take the value
        """
        if name not in self.settings:
            raise KeyError(f"{name!r} is not a setting{did_you_mean(name, OPTIONS)}")
        if value is ENOVAL:
            known = self._load()
            self.configure({name: known.get(name, self.settings[name])}, save=False)
        else:
            self.configure(read_settings({name: value}), save=update)
            if name == "tag_index" and not self.settings[name]:
                self.index_tags(False)
        return self.settings[name]

    def index_tags(self, wanted: bool) -> None:
        """Create or drop the index on tags in every shard; nothing if it is so already."""
        sql = schema.CREATE_TAG_INDEX if wanted else schema.DROP_TAG_INDEX
        for store in self.stores:
            exists = bool(store.database.run(schema.HAS_TAG_INDEX))
            if exists != bool(wanted):
                store.database.run(sql)

    def _make_disk(self, path: str, settings: Mapping[str, Any]) -> Disk:
        prefix = "disk_"
        arguments = {
            name[len(prefix) :]: value
            for name, value in settings.items()
            if name.startswith(prefix)
        }
        return self.disk_type(path, **arguments)
