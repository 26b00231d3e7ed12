"""Both engines fill the protocols that the Django side is written for."""

from __future__ import annotations

import inspect

import pytest

from django_diskcache.engine import FanoutCache
from django_diskcache.engine.engine import Engine
from django_diskcache.engine.interface import AnyEngine, AnyFace
from django_diskcache.server import ServerCache
from django_diskcache.server.remote import Remote

FACES: list[type[AnyFace]] = [FanoutCache, ServerCache]  # mypy compares the types
ENGINES: list[type[AnyEngine]] = [Engine, Remote]
METHODS = [
    name
    for name, member in vars(AnyFace).items()
    if inspect.isfunction(member) and (name[0] != "_" or name in ("__len__", "__iter__"))
]
MORE = {"cache": {"timeout", "disk", "settings"}}  # that a face on files takes beside


@pytest.mark.parametrize("face", FACES)
def test_a_face_takes_what_the_protocol_says(face: type[AnyFace]) -> None:
    for name in METHODS:
        wanted = inspect.signature(getattr(AnyFace, name)).parameters
        taken = inspect.signature(getattr(face, name)).parameters
        for parameter in wanted.values():
            same = taken[parameter.name]
            assert (same.kind, same.default) == (parameter.kind, parameter.default), name
        assert set(taken) - set(wanted) <= MORE.get(name, set()), name


def test_coroutines_take_what_the_methods_do() -> None:
    """Those of a face whose engine says that it has `coroutines`."""
    assert Remote.coroutines
    assert not Engine.coroutines
    compared = 0
    for name in METHODS:
        twin = getattr(ServerCache, f"a{name}", None)
        if inspect.iscoroutinefunction(twin):
            wanted = inspect.signature(getattr(AnyFace, name)).parameters.values()
            taken = inspect.signature(twin).parameters.values()
            assert [(p.name, p.kind, p.default) for p in taken] == [
                (p.name, p.kind, p.default) for p in wanted
            ], name
            compared += 1
    assert compared >= 18


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_does_what_the_protocol_says(engine: type[AnyEngine]) -> None:
    for name, member in vars(AnyEngine).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            wanted = inspect.signature(member).parameters
            assert inspect.signature(getattr(engine, name)).parameters == wanted, name
    assert isinstance(engine.in_files, bool)
    assert isinstance(engine.coroutines, bool)
