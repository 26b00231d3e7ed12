"""A model without a table, for what Django's admin hangs on one: permissions, the log, a name.

There are no migrations: nothing is to be made in a database. Django makes the two permissions
and the content type by itself, at `migrate`, as it does for every application.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Cache(models.Model):
    """An entry of CACHES, by its alias; the admin shows it, and no query is made for it."""

    alias = models.CharField(primary_key=True, max_length=200)

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("manage_caches", "Can manage caches"),)
        verbose_name = _("cache")
        verbose_name_plural = _("caches")

    def __str__(self) -> str:
        return self.alias
