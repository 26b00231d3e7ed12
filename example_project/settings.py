"""Settings of the magazine. All of them have defaults; the environment can change some.

EXAMPLE_DATA            directory of database, caches and secret key (example_project/var)
EXAMPLE_CACHE_URL       the cache, such as diskcache:///var/cache/magazine?size_limit=1GB&shards=4
                        (EXAMPLE_DATA/cache, of 64MB)
EXAMPLE_SESSIONS_URL    the same for the cache of the sessions (EXAMPLE_DATA/sessions, of 16MB)
EXAMPLE_SECRET_KEY      by default generated once and kept in EXAMPLE_DATA
EXAMPLE_ALLOWED_HOSTS   names that the site answers to, with commas between (this machine's)
EXAMPLE_DEBUG           true for Django's debug pages (false)
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import environ  # type: ignore[import-untyped]

from django_diskcache.environment import register

from .secret import kept_secret

register(environ.Env)
env = environ.Env()

BASE = Path(__file__).resolve().parent
DATA = Path(env.str("EXAMPLE_DATA", default="") or BASE / "var").absolute()
DATA.mkdir(parents=True, exist_ok=True)

SECRET_KEY = env.str("EXAMPLE_SECRET_KEY", default="") or kept_secret(DATA / "secret_key")
DEBUG = env.bool("EXAMPLE_DEBUG", default=False)
ALLOWED_HOSTS = env.list("EXAMPLE_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])

# Caches

CACHES = {
    "default": env.cache(
        "EXAMPLE_CACHE_URL",
        # The magazine evicts by tag at every save.
        default=f"diskcache://{quote(str(DATA))}/cache?size_limit=64MB&tag_index=true",
    ),
    # Apart from the rest: a full page cache must not log visitors out.
    "sessions": env.cache(
        "EXAMPLE_SESSIONS_URL",
        default=f"diskcache://{quote(str(DATA))}/sessions?size_limit=16MB",
    ),
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"

# The rest is what startproject makes

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_diskcache",
    "example_project.magazine",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "magazine.sqlite3",
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
