"""A small magazine that shows a site on django_diskcache. `manage.py demo` runs it."""
