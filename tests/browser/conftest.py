"""A real Chromium, and a small site in a process of its own that it visits.

Without a browser these tests skip; where CI is set to true a missing browser is a failure. The
screenshots go to tests/browser/screenshots, or to the directory that SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.server import USER

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds, for a machine that is busy with something else
WIDTH, HEIGHT = 1280, 900
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.long)


def needed(found: Any, what: str) -> Any:
    """What was found; else the test skips, or fails where it must not."""
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {what}, and CI=true says that it is to be there")
        pytest.skip(f"needs {what}")
    return found


class Site:
    """The small site, being served at `url`, with its data in `data`."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        data.mkdir()
        self._log = (data / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.server"],
            cwd=ROOT,
            env={**os.environ, "SITE_DATA": str(data), **environment},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self.stop()
            pytest.fail((data / "log").read_text())
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def read(self, key: str) -> str:
        """Ask the site for a page that reads `key`: hit or miss."""
        with urllib.request.urlopen(f"{self.url}/read/{key}/", timeout=PATIENCE) as response:
            return str(response.read().decode())


MakeSite = Callable[..., Site]


@pytest.fixture(scope="module")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Starts the site, once for each environment."""
    sites: dict[Any, Site] = {}

    def make(**environment: str) -> Site:
        key = tuple(environment.items())
        if key not in sites:
            sites[key] = Site(tmp_path_factory.mktemp("site") / "data", **environment)
        return sites[key]

    yield make
    for site in sites.values():
        site.stop()


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    return make_site()


class Browser:
    """A Chromium with a window of 1280 x 900, and what the tests do with it."""

    def __init__(self, driver: Any, screenshots: Path) -> None:
        self.driver = driver
        self._screenshots = screenshots

    def visit(self, site: Site, path: str = "/admin/django_diskcache/cache/") -> None:
        self.driver.get(site.url + path)

    def log_in(self, site: Site) -> None:
        self.visit(site, "/admin/login/?next=/admin/")
        self.one("[name=username]").send_keys(USER[0])
        self.one("[name=password]").send_keys(USER[1])
        self.one("[name=password]").submit()
        self.until(lambda: "/login/" not in self.driver.current_url)

    def one(self, selector: str) -> Any:
        """The element; there must be one."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def button(self, text: str) -> Any:
        """The first button with this text."""
        return next(each for each in self.all("button") if " ".join(each.text.split()) == text)

    def text(self) -> str:
        return str(self.one("body").text)

    def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition is once it is true."""
        from selenium.common.exceptions import WebDriverException

        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if found := condition():
                    return found
            except WebDriverException:
                pass  # the page is being replaced
            assert time.monotonic() < deadline, self.driver.page_source
            time.sleep(0.05)

    def go(self, element: Any) -> None:
        """Click on what leads to another page, and wait for that."""
        body = self.one("body")
        before = body.id
        element.click()
        self.until(lambda: self.one("body").id != before)
        self.until(
            lambda: self.driver.execute_script("return document.readyState") == "complete"
        )

    def command(self, name: str, **arguments: Any) -> Any:
        """One of the browser's own commands."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def resize(self, width: int, height: int = HEIGHT) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """What the system says of colours: light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        script = "return document.documentElement.scrollWidth - window.innerWidth"
        return int(self.driver.execute_script(script))

    def console(self) -> list[str]:
        """What the console has said since it was asked last, but of the icon that it misses."""
        said = [str(entry["message"]) for entry in self.driver.get_log("browser")]
        return [each for each in said if "/favicon.ico" not in each]

    def photograph(self, name: str) -> None:
        """Keep a picture of the whole page."""
        import base64

        size = self.driver.execute_script(
            "return [window.innerWidth, document.documentElement.scrollHeight]"
        )
        picture = self.command(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1},
        )
        self._screenshots.mkdir(parents=True, exist_ok=True)
        (self._screenshots / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))


@pytest.fixture
def make_browser() -> Iterator[Callable[..., Browser]]:
    """Starts a Chromium, with the given preferences."""
    selenium = needed(_webdriver(), "the package selenium")
    binary = needed(next(filter(None, map(shutil.which, CHROMIUM)), None), "Chromium")
    program = needed(shutil.which("chromedriver"), "chromedriver")
    screenshots = Path(os.environ.get("SCREENSHOTS") or Path(__file__).parent / "screenshots")
    drivers = []

    def make(**preferences: Any) -> Browser:
        options = selenium.ChromeOptions()
        options.binary_location = binary
        for argument in (
            "--headless=new",
            "--no-sandbox",  # the tests may run as root
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--window-size={WIDTH},{HEIGHT}",
            "--lang=en",
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = selenium.ChromeService(program)
        drivers.append(selenium.Chrome(options=options, service=service))
        browser = Browser(drivers[-1], screenshots)
        browser.resize(WIDTH)
        return browser

    yield make
    for driver in drivers:
        driver.quit()


@pytest.fixture
def browser(make_browser: Callable[..., Browser]) -> Browser:
    return make_browser()


def _webdriver() -> Any:
    try:
        from selenium import webdriver
    except ImportError:
        return None
    return webdriver
