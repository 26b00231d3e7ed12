"""The Django application: it brings the dashboard in the admin."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiskcacheConfig(AppConfig):
    """`INSTALLED_APPS = [..., "django_diskcache"]`."""

    name = "django_diskcache"
    verbose_name = _("Disk cache")
    default_auto_field = "django.db.models.BigAutoField"
