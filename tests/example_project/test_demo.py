"""`manage.py demo`: what it prints, at a first and at a second run, and how it ends."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from .conftest import Demo, Site, Visitor, run

BEGINNING = r"Hit ratio: ([0-9.]+)% in the first 100 requests"


def test_a_first_run_makes_articles_and_starts_cold(site: Site) -> None:
    assert "30 articles (30 new) in 6 categories" in site.first.out
    assert "The cache began cold" in site.first.out
    assert "The first page had to be made" in site.first.out


def test_a_second_run_starts_warm(site: Site) -> None:
    assert "30 articles (0 new) in 6 categories" in site.second.out
    assert "The cache began warm" in site.second.out
    assert float(site.second.found(BEGINNING)) > float(site.first.found(BEGINNING))
    # A page is cached under its address; the port is the same if nobody took it meanwhile.
    moved = site.first.found(r"Serving at (\S+)") != site.url
    assert moved or "The first page came from the cache" in site.second.out


def test_the_tables_account_for_all_requests(site: Site) -> None:
    for demo in (site.first, site.second):
        assert "150 requests in" in demo.out
        pages = re.findall(
            r"^(\w+) +([0-9]+) +(?:[0-9.]+|-) +([0-9]+) +(?:[0-9.]+|-)$", demo.out, re.MULTILINE
        )
        assert [page for page, _, _ in pages] == [
            "front",
            "category",
            "article",
            "ranking",
            "download",
        ]
        assert sum(int(cold) + int(warm) for _, cold, warm in pages) == 150
        for alias in ("default", "sessions"):
            assert int(demo.found(rf"(?m)^{alias} +([0-9]+) +[0-9]+ +[0-9.]+% ")) > 0


def test_the_bar_is_for_terminals(site: Site) -> None:
    assert "\r" not in site.first.out
    assert "█" not in site.first.out


def test_the_printed_password_signs_in_and_the_old_one_does_not(site: Site) -> None:
    for demo, welcome in ((site.second, True), (site.first, False)):
        visitor = Visitor(site.url)
        visitor.get("/admin/login/")
        page = visitor.get(
            "/admin/login/?next=/admin/",
            {
                "username": demo.found(r"Superuser: (\S+),"),
                "password": demo.found(r"password: (\S+)"),
                "csrfmiddlewaretoken": next(
                    cookie.value or ""
                    for cookie in visitor.cookies
                    if cookie.name == "csrftoken"
                ),
            },
        )
        assert ("Site administration" in page) is welcome
        if welcome:
            page = visitor.get("/admin/django_diskcache/cache/default/change/")
            assert "Figures of default" in page


def test_no_serve_ends_after_the_report(tmp_path: Path) -> None:
    done = run(
        *("manage.py", "demo", "--no-serve", "--articles", "3", "--requests", "0"),
        data=tmp_path / "deep" / "down",
        EXAMPLE_SECRET_KEY="given",
    )
    assert (done.status, done.err) == (0, "")
    assert "3 articles (3 new)" in done.out
    assert "password: " in done.out
    assert "Serving" not in done.out
    assert not (tmp_path / "deep" / "down" / "secret_key").exists()


def test_ctrl_c_in_the_middle_stops_it_without_a_trace(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--articles", "3", "--requests", "1000000")
    demo.read_until("3 articles")
    ended = demo.interrupt()
    assert ended == (0, "\nStopped.\n", "")


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("manage.py", "demo", "--port", str(port), data=tmp_path)
    assert done.status == 1
    assert done.err.startswith(f"CommandError: Port {port} of 127.0.0.1: ")


def test_wrong_arguments_are_errors_that_say_what_is_right(tmp_path: Path) -> None:
    for option, value, message in (
        ("--articles", "0", "0 is not at least 1"),
        ("--requests", "many", "'many' is not a whole number"),
        ("--port", "70000", "70000 is not from 0 to 65535"),
    ):
        done = run("manage.py", "demo", option, value, data=tmp_path)
        assert done.status == 2
        assert message in done.err


def test_no_migration_is_missing_and_the_checks_pass(tmp_path: Path) -> None:
    for command in (("makemigrations", "--check", "--dry-run"), ("check",)):
        done = run("manage.py", *command, data=tmp_path)
        assert (done.status, done.err) == (0, "")


def test_the_secret_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    lines = "from django.conf import settings; print(settings.SECRET_KEY)"
    keys = {run("-c", lines, data=tmp_path).out for _ in range(2)}
    assert len(keys) == 1
    assert len(keys.pop().strip()) > 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
