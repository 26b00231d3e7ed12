"""System checks of the settings: the whole message for each mistake, and nothing else done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, Tags, Warning, run_checks
from django.test import override_settings

from django_diskcache import DjangoCache, JSONDisk
from django_diskcache.checks import check_settings, least_size
from django_diskcache.entries import entries

BACKEND = "django_diskcache.DjangoCache"


class Subclass(DjangoCache):
    """A backend of a site's own."""


def caches(**entries: Any) -> dict[str, Any]:
    """CACHES with these; their BACKEND is ours unless they say otherwise."""
    return {alias: {"BACKEND": BACKEND, **entry} for alias, entry in entries.items()}


def found(**entries: Any) -> list[Any]:
    """What the check says of these."""
    with override_settings(CACHES=caches(**entries)):
        return check_settings()


def contents(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.rglob("*"))


def test_nothing_to_say(tmp_path: Path) -> None:
    assert found(default={"LOCATION": tmp_path / "cache"}) == []
    assert contents(tmp_path) == []


def test_other_backends_are_left_alone(tmp_path: Path) -> None:
    others = {
        "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": "relative",
            "OPTIONS": {"size_limt": 1},
        },
        "none": {"BACKEND": "no.such.Backend"},
        "module": {"BACKEND": "django_diskcache.engine"},
        "nothing": {"BACKEND": None},
    }
    assert found(**others) == []


@pytest.mark.parametrize(
    "backend", [f"{__name__}.Subclass", f"{BACKEND[:16]}.backend.DjangoCache"]
)
def test_subclasses_are_ours(backend: str) -> None:
    assert [each.id for each in found(x={"BACKEND": backend})] == ["django_diskcache.E007"]


MISTAKES: list[tuple[dict[str, Any], Any]] = [
    (
        {"OPTIONS": {"size_limt": 1}},
        Error(
            "Your 'x' cache has the option 'size_limt'.",
            hint="It is not one of DjangoCache. Did you mean 'size_limit'?",
            id="django_diskcache.E001",
        ),
    ),
    (
        {"OPTIONS": {"SIZE_LIMIT": "large"}},
        Error(
            "Your 'x' cache has size_limit='large'.",
            hint=(
                "It takes a size in bytes of at least 0, as a number or a text such as "
                "'512MiB'."
            ),
            id="django_diskcache.E002",
        ),
    ),
    (
        {"DATABASE_TIMEOUT": -1},
        Error(
            "Your 'x' cache has database_timeout=-1.",
            hint=(
                "It takes a time in seconds of at least 0, as a number or a text such as "
                "'10ms'."
            ),
            id="django_diskcache.E002",
        ),
    ),
    (
        {"TIMEOUT": "5 minutes"},
        Error(
            "Your 'x' cache has TIMEOUT='5 minutes'.",
            hint="It takes a number of seconds, or None for ever.",
            id="django_diskcache.E002",
        ),
    ),
    (
        {"KEY_FUNCTION": "no.such.function"},
        Error(
            "Your 'x' cache has KEY_FUNCTION='no.such.function'.",
            hint="It takes the dotted path of a callable (No module named 'no').",
            id="django_diskcache.E002",
        ),
    ),
    (
        {"KEY_FUNCTION": "os.sep"},
        Error(
            "Your 'x' cache has KEY_FUNCTION='os.sep'.",
            hint=("It takes a callable of a key, KEY_PREFIX and VERSION, or its dotted path."),
            id="django_diskcache.E002",
        ),
    ),
    (
        {"OPTIONS": {"disk": dict}},
        Error(
            "Your 'x' cache has disk=<class 'dict'>.",
            hint="It takes Disk or a subclass of it, or its dotted path.",
            id="django_diskcache.E002",
        ),
    ),
    (
        {"OPTIONS": {"disk_colour": "red"}},
        Error(
            "Your 'x' cache has options that its Disk refuses: Disk takes no setting "
            "disk_colour.",
            hint="Those that begin with disk_ are arguments of Disk.",
            id="django_diskcache.E002",
        ),
    ),
    (
        {"SHARDS": 0},
        Error(
            "Your 'x' cache has shards=0.",
            hint="It takes a whole number from 1 to 999.",
            id="django_diskcache.E004",
        ),
    ),
    (
        {"OPTIONS": "size_limit=5"},
        Error(
            "Your 'x' cache has OPTIONS='size_limit=5'.",
            hint="It takes a dictionary.",
            id="django_diskcache.E005",
        ),
    ),
    (
        {"SHARDS": 3, "OPTIONS": {"Shards": 3}},
        Error(
            "Your 'x' cache has the option Shards twice.",
            hint="Leave one of them out; case makes no difference.",
            id="django_diskcache.E006",
        ),
    ),
]


@pytest.mark.parametrize(
    ("entry", "message"), MISTAKES, ids=[str(each[0]) for each in MISTAKES]
)
def test_a_mistake(tmp_path: Path, entry: dict[str, Any], message: Any) -> None:
    assert found(x={"LOCATION": tmp_path / "cache", **entry}) == [message]
    assert contents(tmp_path) == []


def test_an_unknown_option_that_is_like_no_other(tmp_path: Path) -> None:
    (message,) = found(x={"LOCATION": tmp_path / "cache", "OPTIONS": {"xyzzy": 1}})
    assert message.msg == "Your 'x' cache has the option 'xyzzy'."
    assert message.hint.startswith("It is not one of DjangoCache, which are shards, ")
    assert message.hint.endswith("disk_pickle_protocol.")


def test_an_unknown_policy(tmp_path: Path) -> None:
    options = {"eviction_policy": "least-recently-use"}
    (message,) = found(x={"LOCATION": tmp_path / "cache", "OPTIONS": options})
    assert message.msg == "Your 'x' cache has eviction_policy='least-recently-use'."
    assert message.hint.startswith("It takes one of ")
    assert message.hint.endswith("; did you mean 'least-recently-used'?")
    assert (message.id, type(message)) == ("django_diskcache.E003", Error)


@pytest.mark.parametrize("entry", [{}, {"LOCATION": ""}, {"LOCATION": None}, {"LOCATION": 5}])
def test_no_location(entry: dict[str, Any]) -> None:
    assert found(x=entry) == [
        Error(
            f"Your 'x' cache has LOCATION={entry.get('LOCATION', '')!r}.",
            hint="It takes the path of a directory, or the address of a server.",
            id="django_diskcache.E007",
        )
    ]


@pytest.mark.parametrize("below", ["", "cache", "deep/down"])
def test_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    assert found(x={"LOCATION": tmp_path / "file" / below}) == [
        Error(
            "The LOCATION of your 'x' cache cannot be a directory, because "
            f"{str(tmp_path / 'file')!r} is a file.",
            hint="Choose another LOCATION, or move the file away.",
            id="django_diskcache.E008",
        )
    ]


def test_signing_without_a_key(tmp_path: Path) -> None:
    entry = {"LOCATION": tmp_path / "cache"}
    with override_settings(SECRET_KEY=""):
        assert found(x=entry) == [
            Error(
                "Your 'x' cache signs what it pickles with SECRET_KEY, which is empty.",
                hint="Set SECRET_KEY, or turn signing off by OPTIONS={'signing': False}.",
                id="django_diskcache.E009",
            )
        ]
        assert found(x={**entry, "OPTIONS": {"signing": False}}) == []
    with override_settings(SECRET_KEY_FALLBACKS=["old", ""]):
        assert found(x=entry) == [
            Error(
                "Your 'x' cache verifies what it unpickles with an empty one of "
                "SECRET_KEY_FALLBACKS, with which anybody could sign.",
                hint="Remove it.",
                id="django_diskcache.E009",
            )
        ]


def test_a_sqlite_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        sqlite_version_info = (3, 34, 1)
        sqlite_version = "3.34.1"

    monkeypatch.setattr("django_diskcache.checks.sqlite3", Old)
    monkeypatch.setattr("django_diskcache.checks.origin", lambda: "Python")
    assert found(x={"LOCATION": tmp_path / "cache"}) == [
        Error(
            "Python has SQLite 3.34.1, which is too old for your caches.",
            hint='SQLite 3.35 or newer is needed: pip install "django-diskcache[sqlite]"',
            id="django_diskcache.E010",
        )
    ]
    assert found() == []


def test_a_size_limit_that_holds_nothing(tmp_path: Path) -> None:
    entry = {"LOCATION": tmp_path / "cache", "OPTIONS": {"size_limit": "100kB"}}
    with override_settings(CACHES=caches(x=entry)):
        (least,) = map(least_size, entries())
    assert found(x=entry) == [
        Warning(
            "The size_limit of your 'x' cache, 100,000 bytes, is too small for its 8 shards: "
            "they would hold next to nothing.",
            hint=f"Set size_limit to {least:,} bytes at the least, or SHARDS to less.",
            id="django_diskcache.W001",
        )
    ]
    assert found(x={**entry, "OPTIONS": {"size_limit": least}}) == []


@pytest.mark.parametrize("shards", [1, 8, 32])
def test_the_least_size_limit_holds_something(tmp_path: Path, shards: int) -> None:
    entry = {"LOCATION": tmp_path / "cache", "SHARDS": shards}
    with override_settings(CACHES=caches(x=entry)):
        (least,) = map(least_size, entries())
    params = {"SHARDS": shards, "OPTIONS": {"size_limit": least}}
    cache = DjangoCache(tmp_path / "cache", params)
    for number in range(100):
        cache.set(number, "x" * 100)
    assert sum(number in cache for number in range(100)) > 50


def test_a_relative_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert found(x={"LOCATION": "var/cache"}) == [
        Warning(
            "The LOCATION of your 'x' cache, 'var/cache', is relative: processes that start "
            "elsewhere have another cache.",
            hint=f"Use an absolute path, such as {str(tmp_path / 'var' / 'cache')!r}.",
            id="django_diskcache.W002",
        )
    ]
    monkeypatch.setenv("SITE_DATA", str(tmp_path))
    assert found(x={"LOCATION": "$SITE_DATA/cache"}) == []
    assert found(x={"LOCATION": "~/cache"}) == []


SERVED = [
    ("MEDIA_ROOT", "media", "media", "matches"),
    ("MEDIA_ROOT", "media", "media/cache", "is inside"),
    ("STATIC_ROOT", "site/static", "site", "contains"),
    ("STATICFILES_DIRS", "assets", "assets/a/b", "is inside"),
]


@pytest.mark.parametrize(("setting", "directory", "location", "relation"), SERVED)
def test_a_location_that_is_served(
    tmp_path: Path, setting: str, directory: str, location: str, relation: str
) -> None:
    value: Any = str(tmp_path / directory)
    if setting == "STATICFILES_DIRS":
        value = [tmp_path / "other", ("prefix", value)]
    danger = {
        "contains": "whoever removes the cache removes that as well",
    }.get(relation, "what it holds might be served to anybody")
    with override_settings(**{setting: value}):
        assert found(x={"LOCATION": tmp_path / location}) == [
            Warning(
                f"The LOCATION of your 'x' cache {relation} {setting}: {danger}.",
                hint=(
                    "Move it to a directory that nothing serves, such as one under /var/cache."
                ),
                id="django_diskcache.W003",
            )
        ]
        assert found(x={"LOCATION": tmp_path / "beside"}) == []


def test_a_location_among_static_files_of_an_app() -> None:
    location = Path(__file__).parent / "myapp" / "static" / "cache"
    (message,) = found(x={"LOCATION": location})
    assert message.msg == (
        "The LOCATION of your 'x' cache is inside the static files of tests.django.myapp: what "
        "it holds might be served to anybody."
    )
    assert found(x={"LOCATION": Path(__file__).parent / "caches"}) == []


def test_a_link_into_what_is_served(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "media")
    with override_settings(MEDIA_ROOT=tmp_path / "media"):
        messages = found(x={"LOCATION": tmp_path / "link" / "cache"})
    assert [each.id for each in messages] == ["django_diskcache.W003"]


@pytest.mark.parametrize("refused", ["", "cache", "cache/002", "cache/001/cache.sqlite3"])
def test_a_location_that_this_user_may_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    if refused:
        DjangoCache(tmp_path / "cache", {}).set("key", 1)
    path = str(tmp_path / refused)
    really = os.access

    def access(asked: Any, mode: int) -> bool:  # the tests may run as root, who may everything
        return asked != path and really(asked, mode)

    monkeypatch.setattr("os.access", access)
    assert found(x={"LOCATION": tmp_path / "cache"}) == [
        Warning(
            "The LOCATION of your 'x' cache cannot be used, because this user may not write "
            f"{path!r}.",
            hint=(
                "Give the directory and all in it to the user that the site runs as, with "
                "chown -R, and run the site and its commands as that user."
            ),
            id="django_diskcache.W004",
        )
    ]


def test_one_location_with_different_options(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "link").symlink_to("cache")
    one = {"LOCATION": tmp_path / "cache"}
    other = {
        "LOCATION": f"{tmp_path}/link/",
        "SHARDS": 4,
        "OPTIONS": {
            "size_limit": "2GB",
            "signing": False,
            "disk": JSONDisk,
            "disk_compress_level": 3,
        },
    }
    assert found(one=one, other=other) == [
        Warning(
            "Your caches 'one' and 'other' share a LOCATION and differ in size_limit, "
            "disk_compress_level, shards, disk, signing.",
            hint="Give both the same options, or each a LOCATION of its own.",
            id="django_diskcache.W005",
        )
    ]
    same = {**one, "TIMEOUT": 5, "VERSION": 2, "OPTIONS": {"SIZE_LIMIT": 2**30}}
    assert found(one=one, same=same) == []


@pytest.mark.parametrize("names", [("inner", "outer"), ("outer", "inner")])
def test_one_location_in_another(tmp_path: Path, names: tuple[str, str]) -> None:
    entries = {
        "inner": {"LOCATION": tmp_path / "cache" / "sessions"},
        "outer": {"LOCATION": tmp_path / "cache"},
        "beside": {"LOCATION": tmp_path / "cache-2"},
    }
    assert found(**{name: entries[name] for name in (*names, "beside")}) == [
        Warning(
            "The LOCATION of your 'inner' cache is inside that of 'outer'.",
            hint="Put them beside each other.",
            id="django_diskcache.W006",
        )
    ]


def test_another_number_of_shards_than_was_made(tmp_path: Path) -> None:
    entry = {"LOCATION": tmp_path / "cache"}
    made = DjangoCache(tmp_path / "cache", {"SHARDS": 3})
    made.set("key", 1)
    before = contents(tmp_path)
    assert found(x=entry) == [
        Warning(
            "The directory of your 'x' cache was made with 3 shards and keeps them: SHARDS of "
            "8 makes no difference.",
            hint=f"Set SHARDS to 3, or stop the site and remove {str(tmp_path / 'cache')!r}.",
            id="django_diskcache.W007",
        )
    ]
    assert found(x={**entry, "SHARDS": 3}) == []
    assert contents(tmp_path) == before


def test_every_mistake_of_every_alias_at_once(tmp_path: Path) -> None:
    messages = found(
        a={"OPTIONS": {"size_limt": 1, "shards": "many"}, "TIMEOUT": []},
        b={"LOCATION": tmp_path / "cache", "OPTIONS": {"cull_limit": -1, "SIZE_LIMIT": 1}},
    )
    assert [each.id[-4:] for each in messages] == [
        *("E007", "E001", "E004", "E002"),
        *("E002", "W001"),
    ]


def test_checks_of_django_open_nothing(tmp_path: Path) -> None:
    # Django's own make an object of every cache; with a mistake it would raise.
    wrong = {"LOCATION": tmp_path / "wrong", "OPTIONS": "size_limt=1", "SHARDS": "x"}
    wrong["KEY_FUNCTION"] = "no.such.function"
    right = {"LOCATION": tmp_path / "right"}
    with override_settings(CACHES=caches(default=right, wrong=wrong)):
        messages = run_checks(tags=[Tags.caches], include_deployment_checks=True)
        assert [each.id for each in messages if each.is_serious()] == [
            "django_diskcache.E005",
            "django_diskcache.E004",
            "django_diskcache.E002",
        ]
        assert contents(tmp_path) == []
        from django.core.cache import caches as objects
        from django.core.exceptions import ImproperlyConfigured

        with pytest.raises(ImproperlyConfigured, match="OPTIONS="):
            objects["wrong"].get("key")
        objects.close_all()
        objects["default"].set("key", 1)
        assert objects["default"].get("key") == 1
    assert (tmp_path / "right").is_dir()


def test_a_process_of_manage_py(tmp_path: Path) -> None:
    entry = {"LOCATION": str(tmp_path / "cache"), "OPTIONS": {"size_limt": 1}}
    (tmp_path / "website.py").write_text(
        f"SECRET_KEY = 'x'\n"
        f"INSTALLED_APPS = ['django_diskcache', 'pages']\n"
        f"CACHES = {caches(default=entry)!r}\n"
    )
    # An app that uses the cache when it is imported.
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "__init__.py").touch()
    (tmp_path / "pages" / "models.py").write_text(
        "from django.core.cache import cache\n@cache.memoize(timeout=5)\ndef f(): ...\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings=website"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "(django_diskcache.E001) Your 'default' cache has the option" in done.stderr
    assert "HINT: It is not one of DjangoCache. Did you mean 'size_limit'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("where", [(), ("000",)])
def test_a_location_with_a_predecessor(where: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.joinpath(*where).mkdir(parents=True)
    path.joinpath(*where, "cache.db").touch()
    assert found(default={"LOCATION": path}) == [
        Warning(
            "python-diskcache has left its entries in the LOCATION of your 'default' cache. "
            "They are not read, and take space beside its size_limit.",
            hint=(
                f"Take them over: manage.py cacheimport {path} --alias default. Then remove "
                "its files, each cache.db, and let cachecheck --fix remove the rest."
            ),
            id="django_diskcache.W008",
        )
    ]


def test_compression_that_cannot_be(tmp_path: Path) -> None:
    path = {"LOCATION": tmp_path / "cache"}
    level = {"compression": "zlib", "compression_level": 12}
    disk = {"compression": "zlib", "disk": "django_diskcache.JSONDisk"}
    one, two, three = found(
        a={**path, "OPTIONS": {"compression": "zlb"}},
        b={"LOCATION": tmp_path / "b", "OPTIONS": level},
        c={"LOCATION": tmp_path / "c", "OPTIONS": disk},
    )
    assert one.msg == "Your 'a' cache has compression='zlb'."
    assert one.hint == "It takes one of zlib, lzma, zstd, lz4; did you mean 'zlib'?"
    assert two.msg == (
        "Your 'b' cache cannot compress: compression_level=12: expected a whole number from 1 "
        "to 9 for compression='zlib', or None for 1."
    )
    assert "JSONDisk compresses by itself" in three.msg
    assert {each.id for each in (one, two, three)} == {"django_diskcache.E002"}
