"""Settings of the small site that the browser visits; a process of its own.

SITE_DATA    directory for the database and the caches
SITE_CSP     1 for Django's Content-Security-Policy (6.0 and later), as strict as it comes
SITE_UNFOLD  1 for django-unfold's admin
SITE_SERVERS caches on servers, by their aliases: LOCATION of each, as JSON
"""

from __future__ import annotations

import json
import os
from pathlib import Path

DATA = Path(os.environ["SITE_DATA"])
WITH_CSP = os.environ.get("SITE_CSP") == "1"
SERVERS = json.loads(os.environ.get("SITE_SERVERS", "{}"))
WITH_UNFOLD = os.environ.get("SITE_UNFOLD") == "1"

SECRET_KEY = "only for tests"
DEBUG = True  # static files are served from where they are
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.browser.urls"
INSTALLED_APPS = [
    *(["unfold"] if WITH_UNFOLD else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_diskcache",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
if WITH_CSP:
    from django.utils.csp import CSP  # type: ignore[import-not-found, unused-ignore]

    MIDDLEWARE.append("django.middleware.csp.ContentSecurityPolicyMiddleware")
    PROCESSORS.append("django.template.context_processors.csp")
    SECURE_CSP = {
        "default-src": [CSP.NONE],
        "script-src": [CSP.NONCE, CSP.STRICT_DYNAMIC],
        "style-src": [CSP.SELF],
        "img-src": [CSP.SELF],
        "connect-src": [CSP.SELF],
        "form-action": [CSP.SELF],
        "base-uri": [CSP.NONE],
        "frame-ancestors": [CSP.NONE],
    }
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": PROCESSORS},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": DATA / "cache",
        "OPTIONS": {"size_limit": "64MB", "tag_index": True},
    },
    "sessions": {
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": DATA / "sessions",
        "OPTIONS": {"size_limit": "16MB", "shards": 2},
    },
}
for alias, location in SERVERS.items():
    CACHES[alias] = {
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": location,
        "OPTIONS": {"size_limit": "64MB", "shards": 4, "database_timeout": 30},
    }
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
