"""The engine on a Valkey or Redis server; usable without Django, like the one on files."""

from .face import ServerCache

__all__ = ["ServerCache"]
