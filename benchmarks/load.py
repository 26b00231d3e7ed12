"""A load generator: a few connections that stay open, each with one request at a time."""

from __future__ import annotations

import http.client
import threading
import time

from . import Refused
from .latency import Latencies
from .servers import HOST

LOST = "X-Lost"  # the header of a page for which the cache did not have everything


def fetch(port: int, path: str) -> bytes:
    """The page.

    :raises Refused: when it is not answered with 200
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        return _fetch(connection, path)[0]
    finally:
        connection.close()


def _fetch(connection: http.client.HTTPConnection, path: str) -> tuple[bytes, bool]:
    connection.request("GET", path)
    response = connection.getresponse()
    page = response.read()
    if response.status != 200:
        raise Refused(f"{path} was answered with {response.status}: {page[:500]!r}")
    return page, response.headers.get(LOST) is not None


class Load:
    """Requests of `path` over so many connections.

    :param expected: the page; another is an error
    """

    def __init__(self, port: int, path: str, expected: bytes, connections: int) -> None:
        self.port = port
        self.path = path
        self.expected = expected
        self.latencies = Latencies()
        self.lost = 0  # pages for which the cache did not have everything
        self._connections = connections
        self._errors: list[Exception] = []

    def forget(self) -> None:
        """What was measured so far was to warm up."""
        self.latencies = Latencies()
        self.lost = 0

    def run(self, seconds: float) -> float:
        """Pages per second.

        :raises Refused: when a page is another than was expected
        """
        samples: list[list[int]] = [[] for _ in range(self._connections)]
        began = time.perf_counter()
        end = time.perf_counter_ns() + int(seconds * 1e9)
        threads = [threading.Thread(target=self._ask, args=(each, end)) for each in samples]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if self._errors:
            raise self._errors[0]
        for each in samples:
            for sample in each:
                self.latencies.record(sample)
        return sum(map(len, samples)) / took

    def _ask(self, samples: list[int], end: int) -> None:
        clock = time.perf_counter_ns
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            while (start := clock()) < end:
                page, lost = _fetch(connection, self.path)
                samples.append(clock() - start)
                self.lost += lost
                if page != self.expected:
                    raise Refused(f"{self.path} was answered with another page: {page[:500]!r}")
        except (OSError, http.client.HTTPException, Refused) as error:
            self._errors.append(error)
        finally:
            connection.close()
