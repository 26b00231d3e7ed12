"""Where articles are written: a save here evicts what the cache has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from .models import Article, Author, Category, Comment

if TYPE_CHECKING:  # generic for the type checker only
    ArticleBase = admin.ModelAdmin[Article]
    AuthorBase = admin.ModelAdmin[Author]
    CategoryBase = admin.ModelAdmin[Category]
    CommentBase = admin.ModelAdmin[Comment]
    CommentInlineBase = admin.TabularInline[Comment, Article]
else:
    ArticleBase = AuthorBase = CategoryBase = CommentBase = admin.ModelAdmin
    CommentInlineBase = admin.TabularInline


class CommentInline(CommentInlineBase):
    model = Comment
    extra = 0


@admin.register(Article)
class ArticleAdmin(ArticleBase):
    list_display = ("title", "category", "author", "published")
    list_filter = ("category",)
    list_select_related = ("category", "author")
    search_fields = ("title", "body")
    autocomplete_fields = ("author",)
    date_hierarchy = "published"
    inlines = (CommentInline,)


@admin.register(Author)
class AuthorAdmin(AuthorBase):
    search_fields = ("name",)


@admin.register(Category)
class CategoryAdmin(CategoryBase):
    list_display = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012  (Django's way)


@admin.register(Comment)
class CommentAdmin(CommentBase):
    list_display = ("name", "article", "written")
    list_select_related = ("article",)
    search_fields = ("name", "text")
    autocomplete_fields = ("article",)
