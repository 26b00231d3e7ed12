"""Servers that want TLS, or a password, for tests: certificates are made by openssl."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .servers import HOST, NAMED, PATIENCE, PROGRAM, Server, required

USER, PASSWORD = "web", "p@ss:word/1"  # in an address these must be quoted
IN_ADDRESS = "web:p%40ss%3Aword%2F1"
# What the cache asks for, and nothing else: no CONFIG, no FLUSHALL, no other names.
RULES = (
    "on", f">{PASSWORD}", "resetkeys", "~django_diskcache*", "resetchannels",
    "&__redis__:invalidate", "-@all", "+@read", "+@write", "+@connection", "+@scripting",
    "+subscribe", "+info", "+dbsize", "-@dangerous", "+info", "+cluster",
)  # fmt: skip


class Certificates(NamedTuple):
    """Files of an authority, and of a server and a client that it has signed for."""

    authority: Path
    server: Path
    client: Path

    def key(self, certificate: Path) -> Path:
        return certificate.with_suffix(".key")


def openssl(*arguments: object) -> None:
    subprocess.run(
        ["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=PATIENCE
    )


def certified(directory: Path) -> Certificates:
    """A new authority, and what it has signed for 127.0.0.1."""
    directory.mkdir(parents=True)
    authority = directory / "ca.crt"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        "req", "-x509", *key, "-days", 2, "-subj", "/CN=an authority of a test",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", directory / "ca.key", "-out", authority,
    )  # fmt: skip
    extensions = directory / "extensions"
    # From Python 3.13 on a certificate must say what it is for, and who has signed it.
    extensions.write_text(
        f"subjectAltName=IP:{HOST}\n"
        "basicConstraints=CA:FALSE\n"
        "keyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid\n"
    )
    for name in ("server", "client"):
        request = directory / f"{name}.csr"
        openssl(
            "req", *key, "-subj", f"/CN={name}",
            "-keyout", directory / f"{name}.key", "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", directory / "ca.key",
            "-CAcreateserial", "-days", 2, "-extfile", extensions,
            "-out", directory / f"{name}.crt",
        )  # fmt: skip
    return Certificates(authority, directory / "server.crt", directory / "client.crt")


@cache
def speaks_tls() -> bool:
    """Whether the server that is installed was built with TLS."""
    command = [PROGRAM, "--port", "0", "--tls-port", "1", "--tls-cert-file", os.devnull]
    said = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).stdout
    return b"Failed to configure TLS" in said


def tls_required() -> None:
    """Skip a test where there is no server with TLS, or no openssl.

    In CI it is a failure, but for a server that was named: that may be built without TLS.
    """
    required()
    missing = ""
    if shutil.which("openssl") is None:
        missing = "there is no openssl on the PATH"
    elif not speaks_tls():
        missing = f"{PROGRAM} was built without TLS"
    if missing and os.environ.get("CI") and not NAMED:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


class SecureServer(Server):
    """One that listens for TLS only, and may want a certificate of its clients as well."""

    def __init__(
        self, directory: Path, certificates: Certificates, mutual: bool = False
    ) -> None:
        self.certificates = certificates
        super().__init__(
            directory,
            *("--tls-cert-file", str(certificates.server)),
            *("--tls-key-file", str(certificates.key(certificates.server))),
            *("--tls-ca-cert-file", str(certificates.authority)),
            *("--tls-auth-clients", "yes" if mutual else "no"),
        )

    def command(self) -> list[str]:
        return [*super().command(), "--port", "0", "--tls-port", str(self.port)]

    def client(self, **arguments: Any) -> Any:
        certificates = self.certificates
        return super().client(
            ssl=True,
            ssl_ca_certs=str(certificates.authority),
            ssl_certfile=str(certificates.client),
            ssl_keyfile=str(certificates.key(certificates.client)),
            **arguments,
        )

    def address(
        self, scheme: str, authority: Path, credentials: str = "", more: str = ""
    ) -> str:
        """LOCATION of it."""
        at = f"{credentials}@" if credentials else ""
        return f"{scheme}://{at}{HOST}:{self.port}/0?ssl_ca_certs={authority}{more}"
