"""The Django app: in `INSTALLED_APPS` it adds system checks and commands."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiskcacheConfig(AppConfig):
    name = "django_diskcache"
    verbose_name = _("Disk cache")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, deployment  # not before the apps are ready: they register

        checks.register()
        deployment.register()
