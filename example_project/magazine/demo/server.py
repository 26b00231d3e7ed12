"""The site on a port of this machine, served by threads of this process."""

from __future__ import annotations

import threading

from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)

HOST = "127.0.0.1"


class Handler(WSGIRequestHandler):
    """Django's handler, which sends head and body apart, without Nagle's delay of the body."""

    disable_nagle_algorithm = True


class Server:
    """A server that has its port and waits for `start`.

    :param port: 0 is any free one
    :raises OSError: when the port is taken
    """

    def __init__(self, port: int) -> None:
        self._http = ThreadedWSGIServer((HOST, port), Handler)
        self._http.set_app(get_internal_wsgi_application())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self.port = int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The address of the front page."""
        return f"http://{HOST}:{self.port}/"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def wait(self) -> None:
        """Serve until somebody interrupts."""
        self._thread.join()

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
