"""The dashboard's place in Django's admin: its addresses, who may see them, who may act.

Registered at the default admin site. Another one takes it by
``site.register(Cache, CacheAdmin)``, with `django_diskcache.models.Cache`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import django
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

from .dashboard import pages
from .dashboard.actions import ACTIONS, offered
from .dashboard.listing import TROUBLE, Listed, listed
from .entries import aliases
from .models import Cache

View = Callable[..., HttpResponseBase]


@admin.register(Cache)
class CacheAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of the caches, in place of those of a table.

    To see them takes the permission ``view_cache``, to act ``manage_caches`` as well.
    """

    MANAGE = "django_diskcache.manage_caches"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: caches are made in the settings."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: there is no form of an entry of CACHES."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may act on the caches."""
        return bool(request.user.has_perm(self.MANAGE))

    # Addresses

    def get_urls(self) -> list[URLPattern]:
        """All that there is of the dashboard; each looks at permissions before anything."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            path("", self._guarded(self.changelist_view), name=f"{name}changelist"),
            # This one's name is where the admin's log leads to.
            path(
                "<str:object_id>/change/",
                self._guarded(self.cache_view),
                name=f"{name}change",
            ),
            path("<str:object_id>/keys/", self._guarded(self.keys_view), name=f"{name}keys"),
            path("<str:object_id>/key/", self._guarded(self.entry_view), name=f"{name}key"),
            path(
                "<str:object_id>/<slug:action>/",
                self._guarded(self.action_view),
                name=f"{name}action",
            ),
        ]

    def _guarded(self, view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            request.current_app = self.admin_site.name
            return view(request, **kwargs)

        return self.admin_site.admin_view(never_cache(guarded))

    # Pages

    @method_decorator(require_GET)
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All caches."""
        context = pages.overview() | (extra_context or {})
        return self._page(request, "overview", gettext("Caches"), None, context)

    @method_decorator(require_GET)
    def cache_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One cache."""
        chosen = pages.RANGES.get(request.GET.get("range", ""))
        return self._of_cache(
            request,
            "cache",
            object_id,
            lambda cache: (
                pages.cache_page(cache, chosen or pages.RANGES[pages.DEFAULT_RANGE])
                | {"actions": offered(cache)}
            ),
        )

    @method_decorator(require_GET)
    def keys_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The keys of a cache."""
        return self._of_cache(
            request, "keys", object_id, lambda cache: pages.keys_page(cache, request.GET)
        )

    @method_decorator(require_GET)
    def entry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One entry of a cache."""
        return self._of_cache(
            request, "entry", object_id, lambda cache: pages.entry_page(cache, request.GET)
        )

    # Actions

    @method_decorator([require_POST, csrf_protect])
    def action_view(
        self, request: HttpRequest, object_id: str, action: str
    ) -> HttpResponseBase:
        """Do something, after a page that asks if it cannot be undone."""
        if not self.has_manage_permission(request):
            raise PermissionDenied
        alias = unquote(object_id)
        if action not in ACTIONS or alias not in aliases():
            raise Http404
        todo = ACTIONS[action]
        address = self._address("change", alias)
        try:
            cache = listed(alias)
        except TROUBLE as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(address)
        if not todo.offered(cache):
            raise Http404
        target = None
        form = None
        if todo.form is not None:
            form = todo.form(request.POST)
            if not form.is_valid():
                problems = [str(each) for errors in form.errors.values() for each in errors]
                self.message_user(request, " ".join(problems), messages.ERROR)
                return HttpResponseRedirect(address)
            target = form.cleaned_data["value"]
        try:
            if todo.question and "confirmed" not in request.POST:
                names = form.fields if form else ()
                given = [(name, request.POST.get(name, "")) for name in names]
                context = {"action": todo, "target": target, "given": given}
                context |= pages.concerned(cache, action, target)
                return self._page(request, "confirm", str(todo.label), alias, context)
            done = todo.run(cache, target)
        except (*TROUBLE, ValueError) as error:  # a tag may be too long for a server
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.log_change(request, Cache(alias=alias), done)
            self.message_user(request, done, messages.SUCCESS)
        return HttpResponseRedirect(address)

    # Parts

    def _of_cache(
        self,
        request: HttpRequest,
        template: str,
        object_id: str,
        make: Callable[[Listed], dict[str, Any]],
    ) -> HttpResponse:
        alias = unquote(object_id)
        if alias not in aliases():
            raise Http404
        try:
            context = make(listed(alias))
        except TROUBLE as error:
            template, context = "trouble", {"trouble": str(error)}
        return self._page(request, template, alias, alias, context)

    def _page(
        self,
        request: HttpRequest,
        template: str,
        title: str,
        alias: str | None,
        context: dict[str, Any],
    ) -> HttpResponse:
        full = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "subtitle": None,
            "alias": alias,
            "page": template,
            "may_manage": self.has_manage_permission(request),
            "list_breadcrumbs": django.VERSION >= (6, 1),  # an <ol>, a <div> before
            **context,
        }
        name = f"admin/django_diskcache/cache/{template}.html"
        return TemplateResponse(request, name, full)

    def _address(self, view: str, alias: str) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=(quote(alias),), current_app=self.admin_site.name)
