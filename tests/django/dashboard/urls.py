"""Addresses of the site: the default admin, and one that a project made itself."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from django_diskcache.admin import CacheAdmin
from django_diskcache.models import Cache


class OwnSite(admin.AdminSite):
    """An admin of a project's own."""

    site_header = "Own site"


own_site = OwnSite(name="own")
own_site.register(Cache, CacheAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("own/", own_site.urls)]
