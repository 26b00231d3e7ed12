"""A site with the admin and two caches of ours, and users with this permission or that."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client
from django.utils.html import strip_tags

from django_diskcache import DjangoCache

BASE = "/admin/django_diskcache/cache/"
DEFAULT = f"{BASE}default/"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]


@pytest.fixture(autouse=True)
def _site(settings: Any, tmp_path: Path, db: None) -> None:
    settings.ROOT_URLCONF = "tests.django.dashboard.urls"
    settings.MIDDLEWARE = MIDDLEWARE
    ours = "django_diskcache.DjangoCache"
    settings.CACHES = {
        "default": {
            "BACKEND": ours,
            "LOCATION": str(tmp_path / "default"),
            "OPTIONS": {"shards": 4, "size_limit": "64MB"},
        },
        "other": {"BACKEND": ours, "LOCATION": str(tmp_path / "other")},
        "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "broken": {"BACKEND": "nowhere.Cache"},
    }


@pytest.fixture
def cache() -> DjangoCache:
    """The cache with the alias `default`."""
    found = caches["default"]
    assert isinstance(found, DjangoCache)
    return found


MakeClient = Callable[..., Client]


@pytest.fixture
def client_with() -> MakeClient:
    """A client logged in as somebody of the staff with these permissions."""

    def make(*permissions: str, staff: bool = True, **options: Any) -> Client:
        user = User.objects.create_user("somebody", is_staff=staff)
        user.user_permissions.set(
            Permission.objects.get(codename=name, content_type__app_label="django_diskcache")
            for name in permissions
        )
        client = Client(**options)
        client.force_login(user)
        return client

    return make


@pytest.fixture
def viewer(client_with: MakeClient) -> Client:
    return client_with("view_cache")


@pytest.fixture
def manager(client_with: MakeClient) -> Client:
    return client_with("view_cache", "manage_caches")


def page(client: Client, path: str, **query: Any) -> str:
    """The HTML of a page, which must be there."""
    response = client.get(path, query)
    assert response.status_code == 200, path
    return str(response.content.decode())


def told(html: str) -> str:
    """The text of a page's content, its white space made one."""
    content = html.partition('id="diskcache-page"')[2]
    apart = re.sub(r"<(?!/?(?:a|b|abbr|span|time)\b)", " <", f"<p {content}")
    return re.sub(r"\s+", " ", unescape(strip_tags(apart)))
