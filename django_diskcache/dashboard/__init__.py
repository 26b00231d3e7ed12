"""The dashboard in Django's admin; `django_diskcache.admin` puts it there."""
