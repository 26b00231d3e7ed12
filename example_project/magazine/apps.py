"""The magazine as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class MagazineConfig(AppConfig):
    """Connects the receivers that evict what a save makes stale."""

    name = "example_project.magazine"

    def ready(self) -> None:
        from . import receivers  # noqa: F401  (needs the models, which are loaded by now)
