"""A page of HTML that needs nothing but itself, from plain content; may know Jinja2 only."""

from qrt_runner.reports.content import Block, Facts, Grid, Items, Listing, Page, Picture, Section, Words
from qrt_runner.reports.rendering import rendered

__all__ = ["Block", "Facts", "Grid", "Items", "Listing", "Page", "Picture", "Section", "Words", "rendered"]
