"""Addresses of the site: the magazine, the admin, and the static files."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    # A real site leaves this to its web server; here any server is to do, debugging or not.
    path("static/<path:path>", serve, {"insecure": True}),
    path("", include("example_project.magazine.urls")),
]
