"""A real browser without a window, which tells what a page asked for, what it complained of, and who cannot read it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = (375, 812)
DESK = (1280, 900)


@contextmanager
def browser() -> Iterator[Chrome]:
    """Start a browser and its driver, as they are installed; the test is skipped where they are not."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium and chromedriver are installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    # Without a sandbox, which a container's root has none of; nothing but our own files is opened.
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def sized(opened: Chrome, size: tuple[int, int]) -> None:
    """Make the page so many pixels wide and high; a window is never as narrow as a phone."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def looking(opened: Chrome, **features: str) -> None:
    """Set what the reader prefers: `color_scheme="dark"`, for one."""
    told = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": told})


def asked_for(opened: Chrome) -> list[str]:
    """Return the addresses that the browser has asked for since this was called last, those that hold data left out."""
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith("data:")]


def complaints(opened: Chrome) -> list[str]:
    """Return what is in the browser's console."""
    return [entry["message"] for entry in opened.get_log("browser")]


def barriers(opened: Chrome) -> list[str]:
    """Return what axe-core finds that keeps people from reading the page, with the places."""
    from axe_core_python.selenium import Axe

    found: dict[str, Any] = Axe().run(opened)
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:150] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


def seen_within(opened: Chrome, what: Callable[[], object], seconds: float = 30.0) -> Any:
    """Wait until something is seen on a page that is still drawing itself, and return it."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    waiting = WebDriverWait(opened, seconds, ignored_exceptions=[StaleElementReferenceException])
    return waiting.until(lambda _: what())


def kept_screenshot(opened: Chrome, name: str) -> Path:
    """Take a picture of what is seen, to be looked at: in .artifacts/screenshots, or where QRT_SCREENSHOTS says."""
    folder = Path(__file__).parents[1] / ".artifacts" / "screenshots"
    place = Path(os.environ.get("QRT_SCREENSHOTS") or folder) / f"{name}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    opened.save_screenshot(str(place))
    return place
