"""Addresses of the small site that the browser visits."""

from __future__ import annotations

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import path


def read(request: HttpRequest, key: str) -> HttpResponse:
    """A page that reads from the cache."""
    return HttpResponse("miss" if cache.get(key) is None else "hit", content_type="text/plain")


urlpatterns = [path("admin/", admin.site.urls), path("read/<str:key>/", read)]
