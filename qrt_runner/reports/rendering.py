"""Fills the template; knows Jinja2.

Whatever a page tells is escaped. It runs no script, and its policy forbids the browser to ask anybody for anything.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

    from qrt_runner.reports.content import Page


def rendered(page: Page) -> bytes:
    """Return a page as one HTML file, figures and style included."""
    return _templates().get_template("page.html").render(page=page).encode()


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("qrt_runner.reports")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["as_data"] = _as_data
    return found


def _as_data(png: bytes) -> str:
    """Return a figure as an address that holds it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"
