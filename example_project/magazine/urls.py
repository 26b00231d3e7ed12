"""Addresses of the magazine."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "magazine"
urlpatterns = [
    path("", views.front, name="front"),
    path("ranking/", views.ranking, name="ranking"),
    path("category/<slug:slug>/", views.category, name="category"),
    path("article/<int:pk>/", views.article, name="article"),
    path("article/<int:pk>/download/", views.download, name="download"),
]
