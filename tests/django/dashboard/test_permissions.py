"""Who may see the dashboard, and who may act."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client

from django_diskcache import DjangoCache
from tests.django.dashboard.conftest import BASE, DEFAULT, MakeClient, page

PAGES = [
    BASE,
    f"{DEFAULT}change/",
    f"{DEFAULT}keys/",
    f"{DEFAULT}key/?key=x",
    f"{BASE}missing/change/",
]
ACTIONS = ["expire", "cull", "evict", "delete", "reset", "clear", "unknown"]


def test_there_are_two_permissions() -> None:
    found = Permission.objects.filter(content_type__app_label="django_diskcache")
    assert sorted(each.codename for each in found) == ["manage_caches", "view_cache"]


def test_there_is_nothing_to_migrate(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("makemigrations", check=True, dry_run=True)
    assert "No changes detected" in capsys.readouterr().out


@pytest.mark.parametrize("path", PAGES)
def test_staff_without_the_permission_see_nothing(client_with: MakeClient, path: str) -> None:
    assert client_with("manage_caches").get(path).status_code == 403


@pytest.mark.parametrize("action", ACTIONS)
def test_staff_without_the_permission_to_see_cannot_act(
    client_with: MakeClient, action: str
) -> None:
    client = client_with("manage_caches")
    assert client.post(f"{DEFAULT}{action}/").status_code == 403
    assert client.get(f"{DEFAULT}{action}/").status_code == 403


@pytest.mark.parametrize("path", [*PAGES, *(f"{DEFAULT}{action}/" for action in ACTIONS)])
@pytest.mark.parametrize("staff", [False, None])
def test_others_are_asked_to_log_in(
    client_with: MakeClient, path: str, staff: bool | None
) -> None:
    client = Client() if staff is None else client_with("view_cache", staff=False)
    for response in (client.get(path), client.post(path)):
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", PAGES[:4])
def test_a_viewer_sees_the_pages(viewer: Client, path: str) -> None:
    assert viewer.get(path).status_code == 200
    assert viewer.post(path).status_code == 405


@pytest.mark.parametrize("action", ACTIONS)
def test_a_viewer_cannot_act(viewer: Client, cache: DjangoCache, action: str) -> None:
    cache.set("key", 1, tag="t")
    data = {"confirmed": "yes", "tag": "t", "kind": "text", "stored": '":1:key"'}
    assert viewer.post(f"{DEFAULT}{action}/", data).status_code == 403
    assert cache.get("key") == 1
    assert not LogEntry.objects.exists()


def test_a_viewer_is_offered_no_actions(viewer: Client, cache: DjangoCache) -> None:
    cache.set("key", 1, tag="t")
    for path in PAGES[:3]:
        assert 'method="post" action="/admin/django' not in page(viewer, path)
    assert "Delete the entry" not in page(viewer, f"{DEFAULT}key/", key="key")


def test_an_action_takes_a_token(client_with: MakeClient, cache: DjangoCache) -> None:
    cache.set("key", 1)
    client = client_with("view_cache", "manage_caches", enforce_csrf_checks=True)
    assert client.post(f"{DEFAULT}clear/", {"confirmed": "yes"}).status_code == 403
    assert cache.get("key") == 1
    page(client, f"{DEFAULT}change/")
    token = client.cookies["csrftoken"].value
    data: dict[str, Any] = {"confirmed": "yes", "csrfmiddlewaretoken": token}
    assert client.post(f"{DEFAULT}clear/", data).status_code == 302
    assert cache.get("key") is None


@pytest.mark.parametrize("action", ACTIONS[:-1])
def test_an_action_takes_a_post(manager: Client, action: str) -> None:
    assert manager.get(f"{DEFAULT}{action}/").status_code == 405


def test_it_is_on_the_index_for_who_may_see_it(client_with: MakeClient) -> None:
    client = client_with("view_cache")
    index = client.get("/admin/").content.decode()
    assert f'href="{BASE}"' in index
    assert "/django_diskcache/cache/add/" not in index


def test_it_is_not_on_the_index_for_others(client_with: MakeClient) -> None:
    assert BASE not in client_with().get("/admin/").content.decode()


@pytest.mark.parametrize("name", ["add/", "default/history/", "x/y/z/"])
def test_there_are_no_other_addresses(manager: Client, name: str) -> None:
    assert manager.get(f"{BASE}{name}").status_code in (404, 405)
    assert manager.post(f"{BASE}{name}").status_code == 404


@pytest.mark.parametrize("alias", ["memory", "broken", "missing", "_3Cb_3E"])
def test_only_our_caches_have_pages(manager: Client, alias: str) -> None:
    for path in ("change/", "keys/", "key/?key=x"):
        assert manager.get(f"{BASE}{alias}/{path}").status_code == 404
    assert manager.post(f"{BASE}{alias}/clear/", {"confirmed": "1"}).status_code == 404
