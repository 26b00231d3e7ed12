"""Visitors: who asks for which page, over HTTP, and how long each answer took.

Few articles are read by many and many by few: the n-th is asked for in proportion to 1/n. That
real requests for web pages are like this is shown by Breslau and others in "Web caching and
Zipf-like distributions" (INFOCOM 1999).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from itertools import accumulate
from time import perf_counter
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import reverse

from .counts import Count

VISITORS = 25
# Names of URLs, and how many of a hundred visits go there.
SHARES = {"front": 15, "category": 15, "article": 55, "ranking": 10, "download": 5}


class Visit(NamedTuple):
    """One request to come."""

    page: str
    path: str
    visitor: int


class Answer(NamedTuple):
    """One request that was answered."""

    page: str
    seconds: float
    looks: Count  # of the cache of the pages, on account of this request

    @property
    def cold(self) -> bool:
        """Whether something had to be made, because the cache did not have it."""
        return self.looks.misses > 0


def visits(
    articles: Sequence[int], categories: Sequence[str], count: int, chance: random.Random
) -> Iterator[Visit]:
    """So many visits, the first one to the front page.

    :param articles: primary keys, the most popular first
    :param categories: slugs
    """
    weights = list(accumulate(1 / rank for rank in range(1, len(articles) + 1)))
    for number in range(count):
        page = chance.choices(list(SHARES), list(SHARES.values()))[0] if number else "front"
        article = chance.choices(articles, cum_weights=weights)[0]
        arguments: dict[str, list[Any]] = {
            "front": [],
            "category": [chance.choice(categories)],
            "article": [article],
            "ranking": [],
            "download": [article],
        }
        path = reverse(f"magazine:{page}", args=arguments[page])
        yield Visit(page, path, chance.randrange(VISITORS))


class Browser:
    """Sends visits one after the other, on one connection; each visitor has a session."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = HTTPConnection(host, port, timeout=60)
        self._sessions: dict[int, str] = {}

    def send(self, visit: Visit) -> Answer:
        """Ask for the page.

        :raises RuntimeError: when the answer is not that page
        """
        headers = {}
        if visit.visitor in self._sessions:
            headers["Cookie"] = self._sessions[visit.visitor]
        before = Count.of("default")
        begin = perf_counter()
        self._connection.request("GET", visit.path, headers=headers)
        response = self._connection.getresponse()
        response.read()
        seconds = perf_counter() - begin
        if response.status != 200:
            raise RuntimeError(f"{visit.path} answered {response.status} {response.reason}")
        self._remember(visit.visitor, response.headers.get_all("Set-Cookie", []))
        return Answer(visit.page, seconds, Count.of("default").since(before))

    def _remember(self, visitor: int, cookies: Sequence[str]) -> None:
        name = settings.SESSION_COOKIE_NAME
        for cookie in map(SimpleCookie, cookies):
            if name in cookie:
                self._sessions[visitor] = f"{name}={cookie[name].value}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()
