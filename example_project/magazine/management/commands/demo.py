"""Runs the magazine and shows what its cache does."""

from __future__ import annotations

import logging
import random
import secrets
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from ...demo import report, traffic
from ...demo.counts import Count, cache_of
from ...demo.server import HOST, Server
from ...factories import fill
from ...models import Article, Category, Comment

SUPERUSER = "editor"
ALIASES = ("default", "sessions")


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argument's parser."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least or (most is not None and value > most):
            limit = f"at least {least}" if most is None else f"from {least} to {most}"
            raise ArgumentTypeError(f"{value} is not {limit}")
        return value

    return parse


class Command(BaseCommand):
    help = (
        "Fill the magazine with articles, send it visitors, show what the cache did, and "
        "leave the site running until Ctrl-C. Run it twice: the second time starts warm."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--articles",
            type=number(1),
            default=200,
            metavar="N",
            help="how many articles there shall be at least (default: 200)",
        )
        parser.add_argument(
            "--requests",
            type=number(0),
            default=2000,
            metavar="N",
            help="how many pages the visitors ask for (default: 2000)",
        )
        parser.add_argument(
            "--port",
            type=number(0, 65535),
            metavar="P",
            help="port of 127.0.0.1 to serve at (default: a free one, the same at each run)",
        )
        parser.add_argument(
            "--seed",
            type=int,
            metavar="N",
            help="send the same visits for the same number (default: others each time)",
        )
        parser.add_argument(
            "--no-serve",
            action="store_false",
            dest="serve",
            help="end after the report instead of leaving the site running",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        server = self.server(options["port"])
        log = logging.getLogger("django.server")
        level = log.level
        log.setLevel(logging.WARNING)  # what is printed here would drown in requests
        try:
            self.prepare(options["articles"])
            password = self.superuser()
            server.start()
            self.visit(server, options["requests"], random.Random(options["seed"]))
            self.stdout.write(f"Superuser: {SUPERUSER}, password: {password} (new at each run)")
            if options["serve"]:
                self.stdout.write(f"Serving at {server.url} (admin: {server.url}admin/)")
                self.stdout.write("Ctrl-C stops it.")
                self.stdout.flush()
                server.wait()
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        finally:
            server.stop()
            log.setLevel(level)

    def server(self, port: int | None) -> Server:
        """A server at this port; at none in particular, that of the last run if it is free.

        `cache_page` keeps a page under its whole address: another port would be another site.
        """
        kept = cache_of("default").index("demo")
        try:
            server = Server(kept.get("port", 0) if port is None else port)
        except OSError as error:
            if port is not None:
                raise CommandError(f"Port {port} of {HOST}: {error.strerror}") from None
            server = Server(0)
        kept["port"] = server.port
        return server

    def prepare(self, articles: int) -> None:
        """Database and articles."""
        call_command("migrate", verbosity=0)
        missing = max(0, articles - Article.objects.count())
        for _ in report.progress(fill(missing), missing, "Articles", self.stdout):
            pass
        self.stdout.write(
            f"{Article.objects.count():,} articles ({missing:,} new) "
            f"in {Category.objects.count()} categories, "
            f"with {Comment.objects.count():,} comments"
        )

    def superuser(self) -> str:
        """Make the superuser or give it a new password; the password, which is kept nowhere."""
        password = secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(
            username=SUPERUSER, defaults={"is_staff": True, "is_superuser": True}
        )
        user.set_password(password)
        user.save()
        return password

    def visit(self, server: Server, wanted: int, chance: random.Random) -> None:
        """Send the visitors and say what the caches did for them."""
        articles = list(Article.objects.values_list("pk", flat=True))  # news is read most
        categories = list(Category.objects.values_list("slug", flat=True))
        held = len(cache_of("default"))
        before = {alias: Count.of(alias) for alias in ALIASES}
        answers: list[traffic.Answer] = []
        began = perf_counter()
        with traffic.Browser(HOST, server.port) as browser:
            visits = traffic.visits(articles, categories, wanted, chance)
            for visit in report.progress(visits, wanted, "Visits", self.stdout):
                answers.append(browser.send(visit))
        seconds = perf_counter() - began
        counts = {alias: Count.of(alias).since(before[alias]) for alias in ALIASES}
        parts = [report.cache_table(counts)]
        if answers:
            parts.insert(0, report.summary(answers, seconds, held))
            parts.insert(1, report.page_table(answers, traffic.SHARES))
        self.stdout.write("\n" + "\n\n".join(parts) + "\n\n")
