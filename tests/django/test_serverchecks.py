"""System checks of caches on a server: the whole message, of settings and of real servers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, Tags, Warning, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.checks import check_settings
from django_diskcache.deployment import check_deployment
from django_diskcache.server import condition as conditions
from django_diskcache.server.address import read_address
from django_diskcache.server.condition import Condition, conditions_at
from django_diskcache.server.remote import Triage
from django_diskcache.server.trouble import POLICY, REMEDIES
from django_diskcache.serverchecks import told_in_clear
from tests.server.clusters import clustered
from tests.server.servers import Server, free_port, required

BACKEND = "django_diskcache.DjangoCache"
SECRET = "k3yWith-plenty-of-different-characters-0123456789-XYZ"
GOOD = ("--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl")


@pytest.fixture(autouse=True)
def _a_good_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("django_diskcache.deployment.has_wal_reset_bug", lambda: True)
    monkeypatch.setattr("django_diskcache.serverchecks.PATIENCE", 30.0)
    with override_settings(SECRET_KEY=SECRET):
        yield


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with the given options."""
    required()
    made: list[Server] = []

    def starting(*options: str) -> Server:
        made.append(Server(tmp_path / f"server-{len(made)}", *options))
        return made[-1]

    yield starting
    for each in made:
        each.stop()


def caches(entries: dict[str, Any]) -> Any:
    return override_settings(
        CACHES={alias: {"BACKEND": BACKEND, **entry} for alias, entry in entries.items()}
    )


def found(**entries: Any) -> list[Any]:
    with caches(entries):
        return check_settings()


def deployed(location: Any, **entry: Any) -> list[Any]:
    with caches({"x": {"LOCATION": location, **entry}}):
        return check_deployment()


# Of the settings: nobody is asked


def test_nothing_to_say(tmp_path: Path) -> None:
    options = {"near_cache_size": "8MB", "database_timeout": "1s", "server_name": "site"}
    locations = ["valkey://nowhere.invalid", ["valkey://nowhere.invalid:7000"], "unix:///none"]
    for location in locations:
        assert found(x={"LOCATION": location, "OPTIONS": options}) == []


def test_a_wrong_address() -> None:
    assert found(x={"LOCATION": ["valkey://a", "b:secret@c"]}) == [
        Error(
            "Your 'x' cache has LOCATION[1]='b:***@c'.",
            hint=("Expected the address of a node of a cluster, such as valkey://host:6379."),
            id="django_diskcache.E011",
        )
    ]
    (message,) = found(x={"LOCATION": "valkey://:secret@host?near_cache_size=1"})
    assert message.msg == "Your 'x' cache has LOCATION='valkey://:***@host?near_cache_size=1'."
    assert message.hint.startswith("'near_cache_size' is no argument of a connection")


@pytest.mark.parametrize(
    "location",
    [
        "redis:/h:7910/0",
        "redis:h",
        " redis://h:7910/0",
        "\tvalkey://h",
        "redis//h",
        "Valkeys:/h",
        "unix:/run/valkey.sock",
        "sentinel:a,b/main",
        "redis+sentinel://h/main",
        "redis-cluster://h",
        "diskcache+redis://h/0",
        "'redis://h'",
        "file:///var/cache/site",
    ],
)
def test_an_address_with_a_typo_is_no_directory(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (message,) = found(x={"LOCATION": location})
    assert (type(message), message.id) == (Error, "django_diskcache.E011")
    assert message.msg == f"Your 'x' cache has LOCATION={location!r}."
    assert "valkey://host:6379/0" in message.hint or "unix:///path" in message.hint
    with pytest.raises(ImproperlyConfigured, match="LOCATION="):
        DjangoCache(location, {}).get("a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [" redis://:xyzzy@h", "redis:/:xyzzy@h", "redis//u:xyzzy@h"])
def test_a_typo_shows_no_password(text: str) -> None:
    (message,) = found(x={"LOCATION": text})
    assert "***@h" in message.msg
    assert "xyzzy" not in message.msg


@pytest.mark.parametrize(
    "name", ["redis", "redis-cache", "redis/site", "unix/x", "valkey.d/site", "a/b://c"]
)
def test_a_directory_with_such_a_name(name: str, tmp_path: Path) -> None:
    with override_settings(MEDIA_ROOT="", STATIC_ROOT=None):
        assert found(x={"LOCATION": str(tmp_path / name)}) == []
        assert [each.id for each in found(x={"LOCATION": name})] == ["django_diskcache.W002"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"password": "xyzzy"}, "It stands in LOCATION, as in valkeys://user:password@host"),
        ({"DB": 1}, "It stands in LOCATION, as in valkeys://"),
        ({"ssl": True}, "It stands in LOCATION, as in valkeys://"),
        ({"ssl_cert_reqs": None}, "It stands in LOCATION, as in valkeys://"),
        ({"CLIENT_CLASS": "django_redis.client.DefaultClient"}, "The cache has a client"),
        ({"parser_class": "redis.connection.PythonParser"}, "The cache has a client of its"),
        ({"CONNECTION_POOL_KWARGS": {"ssl": 1}}, "What it says of connections stands in"),
        ({"SOCKET_TIMEOUT": 5}, "How long a call waits for the server is database_timeout"),
        ({"SENTINELS": [("a", 1)]}, "It stands in LOCATION: sentinel://host:26379,"),
        ({"IGNORE_EXCEPTIONS": True}, "A server in trouble is a miss here"),
        ({"COMPRESSOR": "x.LzmaCompressor"}, "It takes compression"),
    ],
)
def test_options_of_other_backends(options: dict[str, Any], hint: str, tmp_path: Path) -> None:
    (name,) = options
    (message,) = found(x={"LOCATION": "valkey://host/0", "OPTIONS": options})
    assert message.msg == f"Your 'x' cache has the option {name.lower()!r}."
    assert message.hint.startswith(hint)
    assert (type(message), message.id) == (Error, "django_diskcache.E001")
    assert "xyzzy" not in message.hint
    (message,) = found(x={"LOCATION": str(tmp_path), "OPTIONS": options})
    assert "It is not one of DjangoCache" in message.hint
    with pytest.raises(ImproperlyConfigured, match=re.escape(hint)):
        DjangoCache("valkey://host/0", {"OPTIONS": options}).get("a")


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "django_diskcache.server.address", None)
    (message,) = found(x={"LOCATION": "valkey://host"})
    assert message.msg.startswith(
        "Your 'x' cache is on a server, for which a package is missing: "
    )
    assert message.hint == "Install the extra: pip install 'django-diskcache[valkey]'."
    assert (type(message), message.id) == (Error, "django_diskcache.E012")


def test_options_that_do_nothing_there(tmp_path: Path) -> None:
    entry = {"SHARDS": 4, "OPTIONS": {"size_limit": 1, "MAX_ENTRIES": 5, "statistics": True}}
    assert found(x={"LOCATION": "valkey://host", **entry}) == [
        Warning(
            "Your 'x' cache is on a server, where these options do nothing: max_entries, "
            "shards, size_limit.",
            hint=(
                "They are there for the way back to a directory. Remove them, or silence this; "
                "how much is kept, and what goes first, is maxmemory and maxmemory-policy of "
                "the server."
            ),
            id="django_diskcache.W009",
        )
    ]


def test_a_mistake_is_one_there_as_well() -> None:
    messages = found(x={"LOCATION": "valkey://host", "OPTIONS": {"size_limit": "large"}})
    assert [each.id for each in messages] == ["django_diskcache.E002"]


def test_two_that_read_each_others_values() -> None:
    one: dict[str, Any] = {"LOCATION": "valkey://host/1"}
    other = {"LOCATION": "redis://:secret@host:6379/1", "OPTIONS": {"serializer": "json"}}
    assert found(a=one, b=other) == [
        Warning(
            "Your caches 'a' and 'b' have the same entries on one server, and differ in "
            "serializer.",
            hint="Give each a server_name of its own, or both the same options.",
            id="django_diskcache.W010",
        )
    ]
    (message,) = found(
        a={**one, "OPTIONS": {"signing": False}},
        b={**one, "OPTIONS": {"disk": "django_diskcache.JSONDisk", "timeout_jitter": 0.5}},
    )
    assert "differ in disk, signing." in message.msg


def test_all_that_differ_are_told() -> None:
    one = {"LOCATION": "valkey://host/1"}
    json = {**one, "OPTIONS": {"serializer": "json"}}
    messages = found(a=one, b=json, c=one, d={**one, "KEY_PREFIX": "d"})
    assert [each.id for each in messages] == ["django_diskcache.W010"] * 2
    assert ["'a' and 'b'" in messages[0].msg, "'b' and 'c'" in messages[1].msg] == [True, True]


@pytest.mark.parametrize(
    "apart",
    [
        {"LOCATION": "valkey://host/2"},
        {"LOCATION": "valkey://other/1"},
        {"LOCATION": "unix:///host?db=1"},
        {"LOCATION": "unix:///host"},
        {"LOCATION": ["valkey://host"]},
        {"LOCATION": "sentinel://host/main"},
        {"OPTIONS": {"serializer": "json", "server_name": "b"}},
        {"OPTIONS": {"server_name": "b"}},
    ],
)
def test_two_that_do_not(apart: dict[str, Any]) -> None:
    one = {"LOCATION": "valkey://host/1"}
    assert found(a=one, b={**one, "OPTIONS": {"serializer": "json"}, **apart}) == []


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"KEY_PREFIX": "b"},
        {"VERSION": 2, "OPTIONS": {"serializer": "json"}},
        {"KEY_PREFIX": "b", "OPTIONS": {"serializer": "json"}},
        {"TIMEOUT": 5, "OPTIONS": {"near_cache_size": 0, "database_timeout": 2}},
        {"LOCATION": "redis://user:secret@HOST:6379/1"},
    ],
)
def test_two_that_are_one(other: dict[str, Any]) -> None:
    one = {"LOCATION": "valkey://host/1"}
    apart = {"LOCATION": "valkey://host/1", "OPTIONS": {"server_name": "apart"}}
    assert found(default=one, apart=apart, sessions={**one, **other}) == [
        Warning(
            "Your caches 'default' and 'sessions' are one cache on their server: clear() of "
            "one empties all of them, and so do cacheclear and the dashboard.",
            hint=(
                "Give each a server_name of its own in OPTIONS; KEY_PREFIX keeps their keys "
                "apart and nothing else. If they are to be one, silence this."
            ),
            id="django_diskcache.W011",
        )
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("valkey://localhost:7000", "valkey://127.0.0.1:7000/0"),
        ("unix:///run/x", "unix:///run/x?db=0"),
        (["valkey://a:1", "valkey://b:1"], ["valkey://b:1", "valkey://c:1"]),
        ("sentinel://a,b/main", "sentinel://b/main/0"),
    ],
)
def test_one_server_by_several_names(one: Any, other: Any) -> None:
    entries = {"a": {"LOCATION": one}, "b": {"LOCATION": other}, "c": {"LOCATION": one}}
    (message,) = found(**entries)
    assert message.msg.startswith("Your caches 'a', 'b' and 'c' are one cache")
    assert message.id == "django_diskcache.W011"


def test_checks_of_directories_leave_them_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("django_diskcache.checks.OLDEST", (99,))
    monkeypatch.chdir(tmp_path)
    wrong = {"LOCATION": "valkey://host?x=1"}
    assert found(x={"LOCATION": "valkey://host/0"}) == []
    assert [each.id for each in found(x=wrong)] == ["django_diskcache.E011"]
    with caches({"x": wrong}):
        assert check_deployment() == []


# Of the server


def test_a_good_server(start: Callable[..., Server]) -> None:
    server = start(*GOOD)
    with server.client() as client:
        before = client.info("stats")["total_connections_received"]
        assert deployed(server.url) == []
        after = client.info("stats")["total_connections_received"]
        assert client.dbsize() == 0
        assert len(client.client_list()) == 1
    assert after == before + 1


def test_start_up_asks_nobody(start: Callable[..., Server]) -> None:
    server = start()
    with caches({"default": {"LOCATION": server.url}}), server.client() as client:
        before = client.info("stats")["total_connections_received"]
        assert run_checks(tags=[Tags.caches]) == []
        assert client.info("stats")["total_connections_received"] == before
        messages = run_checks(tags=[Tags.caches], include_deployment_checks=True)
    assert [each.id for each in messages] == ["django_diskcache.W115"]


def test_two_entries_ask_once(start: Callable[..., Server]) -> None:
    server = start()
    one = {"LOCATION": server.url}
    with caches({"x": one, "y": {**one, "KEY_PREFIX": "y"}}), server.client() as client:
        before = client.info("stats")["total_connections_received"]
        assert [each.id for each in check_deployment()] == ["django_diskcache.W115"] * 2
        assert client.info("stats")["total_connections_received"] == before + 1


def test_nobody_is_there() -> None:
    port = free_port()
    (message,) = deployed(f"valkey://127.0.0.1:{port}/0")
    assert message.msg.startswith(
        "The server of your 'x' cache cannot be used from here: valkey://127.0.0.1"
    )
    assert message.hint == (
        "See whether it runs, and whether this machine and this user may reach it. The site "
        "works without it, and computes everything anew."
    )
    assert (type(message), message.id) == (Warning, "django_diskcache.W110")


@pytest.mark.parametrize(
    "location",
    [
        "unix:///no/such/socket",
        "sentinel://127.0.0.1:1/main",
        ["valkey://127.0.0.1:1"],
        "valkeys://127.0.0.1:1",
    ],
)
def test_nobody_is_there_in_other_ways(location: Any) -> None:
    assert [each.id for each in deployed(location)] == ["django_diskcache.W110"]


def test_a_server_that_stands_still(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_diskcache.serverchecks.PATIENCE", 0.05)
    server = start(*GOOD)
    server.freeze()
    began = time.monotonic()
    (message,) = deployed(f"{server.url}?socket_timeout=600")
    assert message.id == "django_diskcache.W110"
    assert time.monotonic() - began < 60


def test_a_password_that_is_wrong(start: Callable[..., Server]) -> None:
    server = start(*GOOD, "--requirepass", "right")
    (message,) = deployed(f"valkey://:xyzzy@127.0.0.1:{server.port}")
    assert message.id == "django_diskcache.W110"
    assert "denied" in message.msg
    assert "xyzzy" not in message.msg
    assert message.hint.startswith("See to user, password and certificates in LOCATION")


def test_a_server_that_is_too_old(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(*GOOD)
    monkeypatch.setattr(conditions, "OLDEST", {"redis": (99, 1), "valkey": (99, 1)})
    with server.client() as client:
        told = client.info("server")
    program = "valkey" if "valkey_version" in told else "redis"
    assert deployed(server.url) == [
        Warning(
            f"The server of your 'x' cache is {program} {told[f'{program}_version']}, which "
            "lacks commands that are needed.",
            hint="Install 99.1 or a newer one.",
            id="django_diskcache.W111",
        )
    ]


@pytest.mark.parametrize(
    ("program", "oldest"),
    [
        ("redis 6.0.16", "6.2"),
        ("redis 5.0.7", "6.2"),
        ("redis 6.2.0", ""),
        ("redis 7.0.15", ""),
        ("redis 10.0.0", ""),
        ("valkey 7.2.5", ""),
        ("valkey 8.1.0", ""),
    ],
)
def test_versions(server: Server, program: str, oldest: str) -> None:
    (seen,) = conditions_at(read_address(server.url), 30, time.time)
    assert seen.figures is not None
    assert replace(seen, figures=replace(seen.figures, program=program)).too_old == oldest
    assert Condition("away").too_old == ""


def test_a_password_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_diskcache.serverchecks.PATIENCE", 0.01)
    messages = deployed("valkey://:xyzzy@192.0.2.1:6379")  # an address for documentation
    assert messages[0] == Warning(
        "The password of your 'x' cache goes to 192.0.2.1 in clear, and so does all that is "
        "cached.",
        hint="Use TLS: valkeys:// or rediss:// in LOCATION.",
        id="django_diskcache.W112",
    )
    assert [each.id for each in messages[1:]] == ["django_diskcache.W110"]


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("valkey://:p@cache.internal", "cache.internal"),
        ("valkey://cache.internal?password=p", "cache.internal"),
        (["valkey://:p@localhost:7000", "valkey://:p@b:7001"], "b"),
        ("sentinel://:p@a,b/main", "a"),
        ("valkey://cache.internal", ""),
        ("valkeys://:p@cache.internal", ""),
        ("valkey://:p@localhost", ""),
        ("valkey://:p@127.0.0.2", ""),
        ("valkey://:p@[::1]:6379", ""),
        ("unix://:p@/run/valkey.sock", ""),
    ],
)
def test_where_a_password_goes_in_clear(location: Any, host: str) -> None:
    assert told_in_clear(read_address(location)) == host


def test_a_policy_that_may_evict_anything(start: Callable[..., Server]) -> None:
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    assert deployed(server.url) == [
        Warning(
            "The server of your 'x' cache has maxmemory-policy allkeys-lru: when it is full, "
            "it may evict what entries with a tag are found by, and locks that are held.",
            hint=f"{POLICY} Where it is as it should be, silence this.",
            id="django_diskcache.W113",
        )
    ]


def test_a_server_that_refuses_when_it_is_full(start: Callable[..., Server]) -> None:
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
    assert deployed(server.url) == [
        Warning(
            "The server of your 'x' cache has maxmemory-policy noeviction: when its "
            "104,857,600 bytes are in use, nothing more is stored.",
            hint=f"{POLICY} Where it is as it should be, silence this.",
            id="django_diskcache.W114",
        )
    ]


def test_a_server_without_a_limit(server: Server) -> None:
    assert deployed(server.url) == [
        Warning(
            "The server of your 'x' cache has no maxmemory: it takes what it can get, until "
            "the system ends it.",
            hint=f"Set maxmemory to less than the machine has. {POLICY}",
            id="django_diskcache.W115",
        )
    ]


@pytest.mark.parametrize(("off", "way"), [(-100.0, "ahead of"), (100.0, "behind")])
def test_clocks_that_are_apart(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, off: float, way: str
) -> None:
    server = start(*GOOD)
    now = time.time() + off
    monkeypatch.setattr("time.time", lambda: now)
    (message,) = deployed(server.url)
    words = message.msg.split(" seconds ")
    assert words[0].startswith("The server of your 'x' cache has a clock that is ")
    assert words[1] == (
        f"{way} that of this machine: what this process remembers may end so much too late or "
        "too early."
    )
    assert (message.hint, message.id) == ("Let both go by NTP.", "django_diskcache.W116")


def test_a_slow_answer_is_no_clock_that_is_off(server: Server) -> None:
    looks = iter([time.time() - 50, time.time() + 50])
    (seen,) = conditions_at(read_address(server.url), 30, lambda: next(looks))
    assert seen.ahead == 0


def test_a_replica(start: Callable[..., Server]) -> None:
    primary = start(*GOOD)
    replica = start(*GOOD, "--replicaof", "127.0.0.1", str(primary.port))
    assert deployed(replica.url) == [
        Warning(
            "The server of your 'x' cache is a replica: nothing can be stored there.",
            hint=(
                "LOCATION must lead to the primary, or to sentinels that know it: sentinel://."
            ),
            id="django_diskcache.W117",
        )
    ]


def test_sessions_on_a_server_that_evicts(start: Callable[..., Server]) -> None:
    server = start(*GOOD)
    backends = "django.contrib.sessions.backends"
    with override_settings(SESSION_ENGINE=f"{backends}.cache", SESSION_CACHE_ALIAS="x"):
        assert deployed(server.url) == [
            Warning(
                "Sessions are kept in your 'x' cache alone, whose server has maxmemory-policy "
                "volatile-ttl: when it is full, visitors are logged out.",
                hint=(
                    f"Set SESSION_ENGINE to '{backends}.cached_db', or keep sessions on a "
                    "server of their own with the policy noeviction."
                ),
                id="django_diskcache.W109",
            )
        ]


def test_signing_off(start: Callable[..., Server]) -> None:
    (message,) = deployed(start(*GOOD).url, OPTIONS={"signing": False})
    assert message.msg == (
        "Your 'x' cache does not sign what it pickles: whoever can write to its server can run "
        "code in your site."
    )


def test_a_cluster(shared_cluster: Any) -> None:
    location = [url.removesuffix("/0") for url in shared_cluster.urls]
    (message,) = deployed(location)
    assert message.id == "django_diskcache.W115"
    assert message.msg.startswith("The server of your 'x' cache has no maxmemory")


def test_each_node_of_a_cluster_is_asked(shared_cluster: Any) -> None:
    second = shared_cluster.nodes[1]
    with second.client() as client:
        client.config_set("maxmemory", "100mb")
    try:
        messages = deployed([url.removesuffix("/0") for url in shared_cluster.urls])
    finally:
        with second.client() as client:
            client.config_set("maxmemory", 0)
    assert [each.id for each in messages if second.url[:-2] in each.msg] == [
        "django_diskcache.W114"
    ]
    (others,) = [each for each in messages if second.url[:-2] not in each.msg]
    assert others.id == "django_diskcache.W115"
    for node in (shared_cluster.nodes[0], shared_cluster.nodes[2]):
        assert node.url[:-2] in others.msg


@pytest.mark.long
@pytest.mark.parametrize("frozen", [0, 2])
def test_a_node_of_a_cluster_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: int
) -> None:
    """The others are told of, and all takes no longer than it may."""
    required()
    monkeypatch.setattr("django_diskcache.serverchecks.PATIENCE", 5.0)
    with clustered(tmp_path) as cluster:
        node = cluster.nodes[frozen]
        # The client has to learn the nodes from one that answers, and asks the first one first.
        known = [each.url[:-2] for each in (*cluster.nodes[1:], cluster.nodes[0])]
        node.freeze()
        began = time.monotonic()
        messages = deployed(known)
        assert time.monotonic() - began < 60

    (away,) = [each for each in messages if each.id == "django_diskcache.W110"]
    assert node.url[:-2] in away.msg
    (others,) = [each for each in messages if each.id == "django_diskcache.W115"]
    assert all(url in others.msg for url in known if url != node.url[:-2])


def test_one_node_of_a_cluster(shared_cluster: Any) -> None:
    (message,) = [
        each for each in deployed(shared_cluster.urls[0]) if each.id != "django_diskcache.W115"
    ]
    assert message == Warning(
        "The server of your 'x' cache is a node of a cluster: what belongs to other nodes is "
        "not stored.",
        hint=(
            "Give LOCATION a list of nodes, from which the others are learned, such as "
            "['valkey://host:6379']."
        ),
        id="django_diskcache.W118",
    )


def test_a_list_with_a_server_that_is_no_cluster(server: Server) -> None:
    assert deployed([server.url.removesuffix("/0")]) == [
        Warning(
            "The server of your 'x' cache is not in cluster mode, and LOCATION is a list, as "
            "of a cluster.",
            hint="Give its address alone, such as valkey://host:6379/0.",
            id="django_diskcache.W118",
        )
    ]


# Of what a user may do


def of_user(server: Server, *rules: str) -> str:
    """The address of a server for a user with these rules of its access list."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "web", "reset", "on", ">secret", *rules)
    return f"valkey://web:secret@127.0.0.1:{server.port}/0"


def rules_of_the_page() -> list[str]:
    """What docs/explanation/server.md gives a user."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "server.md"
    text = page.read_text().partition("ACL SETUSER web on >secret ")[2].partition("```")[0]
    return text.replace("\\\n", " ").split()


def test_the_user_of_the_page(start: Callable[..., Server]) -> None:
    rules = rules_of_the_page()
    assert "~django_diskcache*" in rules
    url = of_user(start(*GOOD), *rules)
    assert deployed(url) == []
    with caches({"x": {"LOCATION": url}}):
        out = StringIO()
        call_command("cachecheck", "x", stdout=out)
    assert "nothing is wrong with its server, which takes writes" in out.getvalue()
    assert "INFO" not in out.getvalue()


@pytest.mark.parametrize(
    "rules", [("~*", "+@all"), ("~*", "&*", "+@all", "-client|tracking"), ("~*", "&x", "+@all")]
)
def test_a_user_who_may_not_listen(start: Callable[..., Server], rules: tuple[str]) -> None:
    server = start(*GOOD, "--acl-pubsub-default", "resetchannels")
    url = of_user(server, *rules)
    (message,) = deployed(url)
    assert message.msg.startswith(
        "The server of your 'x' cache does not let this user listen to what changes, so "
        "nothing is remembered in this process: "
    )
    assert message.hint == (
        "Let the user have the channel and the commands: ACL SETUSER name "
        "&__redis__:invalidate +subscribe +client."
    )
    assert (type(message), message.id) == (Warning, "django_diskcache.W119")
    assert deployed(url, OPTIONS={"near_cache_size": 0}) == []  # then nobody listens


def test_what_a_user_may_not_ask_is_left_out(start: Callable[..., Server]) -> None:
    server = start(*GOOD)
    url = of_user(server, "~*", "&*", "+@all", "-info", "-time")
    assert deployed(url) == []
    with caches({"x": {"LOCATION": url}}):
        out = StringIO()
        call_command("cachecheck", "x", stdout=out)
    assert "does not let this user call TIME and INFO" in out.getvalue()
    assert "nothing is wrong" in out.getvalue()


def test_one_rule_for_the_policy(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """No text says of a policy what another one takes back."""
    assert POLICY in REMEDIES["full"]
    Triage("valkey://host", time.time).unhinted("valkey://host")
    assert "maxmemory-policy to noeviction, with room enough" in caplog.text
    assert "maxmemory-policy to noeviction, with room enough" in POLICY
    (seen,) = conditions_at(read_address(server.url), 30, time.time)
    assert seen.figures is not None
    for policy in ("noeviction", "allkeys-lru", "volatile-ttl", "volatile-lru"):
        for limit in (0, 2**40, 1):
            figures = replace(seen.figures, policy=policy, memory_limit=limit)
            said = list(replace(seen, figures=figures).findings(False, True))
            assert said
            for each in said:
                assert POLICY in each.remedy
                assert each.remedy.count("volatile") == 1
