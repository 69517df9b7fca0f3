"""A report is all of a run on one page: true, readable by everybody, and in need of nothing but a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import DESK, PHONE, asked_for, barriers, browser, complaints, kept_screenshot, looking, sized

from qrt_runner.digits import with_error
from qrt_runner.reports import Facts, Grid, Items, Listing, Page, Picture, Section, Words, rendered
from qrt_runner.runner.numbering import counts_grid, counts_in_words, overview_grid, values_grid, values_in_words
from qrt_runner.tracking import Record, find_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended
    from mlflow.tracking import MlflowClient

QUIET = ("tracking=off", "mode.shots=1024")
VOID = {"meta", "link", "img", "br", "hr", "input"}
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A figure of one pixel."""


class Seen(HTMLParser):
    """Reads a page: its words, the tags with their attributes, and whether they are closed."""

    def __init__(self, page: str) -> None:
        """Read all of it."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note words, but not those of the style."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words, each text and cell on a line of its own."""
        return "\n".join(word.strip() for word in self.words if word.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all such tags."""
        return [attributes for name, attributes in self.tags if name == tag]


def done(ended: Ended) -> Ended:
    """Return how a command ended, which is well."""
    assert ended.code == 0, ended.err
    return ended


def written(pattern: str = "report-*.html") -> Path:
    """Return the only such page in the folder."""
    (file,) = Path("outputs").rglob(pattern)
    return file


def seen(pattern: str = "report-*.html") -> Seen:
    """Return what is on the only such page."""
    return Seen(written(pattern).read_text(encoding="utf-8"))


def kept(name: str) -> dict[str, object]:
    """Return the only JSON artifact of that name."""
    (file,) = Path("outputs").rglob(f"0-main/{name}")
    found: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return found


def structure_mistakes(page: Seen) -> list[str]:
    """Return what would keep somebody from reading a page with a keyboard or a screen reader, or without a network."""
    headings = [int(name[1]) for name, _ in page.tags if re.fullmatch(r"h[1-6]", name)]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [attributes["href"] for attributes in page.all("a")]
    wanted = {
        "all tags are closed": not page.open,
        "the language is told": page.all("html") == [{"lang": "en"}],
        "one heading is the title": headings[0] == 1 and headings.count(1) == 1,
        "no level of headings is left out": all(b <= a + 1 for a, b in pairwise(headings)),
        "ids are unique": len(ids) == len(set(ids)),
        "the first link skips to the content": links[0] == "#content",
        "links lead to places on the page": {link.removeprefix("#") for link in links} <= set(ids),
        "figures have words": all(image["alt"] for image in page.all("img")),
        "figures are in the page": all(image["src"].startswith("data:image/png;base64,") for image in page.all("img")),
        "tables have captions": len(page.all("caption")) == len(page.all("table")),
        "headings of tables say of what": all(cell.get("scope") in ("col", "row") for cell in page.all("th")),
        "what scrolls is reached by keyboard": all(one.get("tabindex") == "0" for one in page.all("pre")),
        "no script": not page.all("script"),
        "nothing from outside": [one["href"] for one in page.all("link")] == ["data:,"],
    }
    return [words for words, holds in wanted.items() if not holds]


# --- the page ---


def test_a_run_is_told_on_one_page(command: Callable[..., Ended], store: MlflowClient) -> None:
    """Asked, where, ids, numbers, mitigation, calibration, versions and command are those recorded; it is in MLflow."""
    words = ("circuit=bell", "backend=fake_manila", "mode=estimator", "mitigation=twirl", "reference=ideal")
    done(command(*words, "seed=7"))
    ended = done(command("action=report"))
    page, run = seen(), find_kept("latest")
    results, (job,) = kept("results.json"), kept("jobs.json")
    assert structure_mistakes(page) == []
    lines = page.text.splitlines()
    assert {job["id"], job["session_id"], "estimator", "fake_manila", run.id} <= set(lines)
    told = {row["observable"]: with_error(row["ev"], row["std"]) for row in results["rows"]}
    assert set(told) == {"zz", "xx"}
    assert set(told.values()) <= set(lines)
    assert "gate_twirling" in lines
    assert "Price" in lines
    assert f"fake_manila, calibrated {kept('calibration.json')['last_update']}: the qubits used." in lines
    assert kept("environment.json")["packages"]["qiskit"] in lines
    assert "seed=7" in next(line for line in lines if line.startswith("python -m qrt_runner circuit=bell"))
    assert f"report-{run.id}.html" in ended.out
    (recorded,) = run.logged.values()
    logged = Path(store.download_artifacts(recorded, "report.html"))
    assert logged.read_bytes() == written().read_bytes()


def test_figures_are_those_that_were_drawn_with_their_numbers(command: Callable[..., Ended]) -> None:
    """The very bytes that are kept, and what they show in words."""
    done(command("circuit=bell", "backend=aer", "mode=sampler", "mode.shots=1024"))
    done(command("action=report", "tracking=off"))
    images = {image["alt"].partition(" of ")[0]: image for image in seen().all("img")}
    assert set(images) == {"Counts", "Expectation values"}
    for name, image in (("counts", images["Counts"]), ("expectation_values", images["Expectation values"])):
        (file,) = Path("outputs").rglob(f"plots/{name}.png")
        assert base64.b64decode(image["src"].partition(",")[2]) == file.read_bytes()
    (counts,) = kept("counts.json")
    for outcome, count in counts["meas"].items():
        assert f"{outcome}: {count} of 1024" in images["Counts"]["alt"]
    assert "zz = 1" in images["Expectation values"]["alt"]


def test_a_sweep_is_told_as_a_whole_and_point_by_point(command: Callable[..., Ended], store: MlflowClient) -> None:
    """Its figures, which a sweep draws on request only, are drawn from the journal; the parent gets the report."""
    done(command("-m", "circuit=bell,ghz", "mode=sampler,estimator", "backend=aer", "mode.shots=256"))
    done(command("action=report"))
    page, run = seen(), find_kept("latest")
    assert structure_mistakes(page) == []
    assert "4 tasks on aer." in page.text
    assert len(page.all("img")) == 6
    assert [one["id"] for one in page.all("section") if re.fullmatch(r"s4-\d", one["id"])] == [
        "s4-1",
        "s4-2",
        "s4-3",
        "s4-4",
    ]
    assert run.parent is not None
    assert Path(store.download_artifacts(run.parent, "report.html")).is_file()


def test_a_point_that_failed_is_told_with_its_reason(command: Callable[..., Ended], fragile: list[str]) -> None:
    """The rest of the sweep is told beside it."""
    ended = command("-m", "circuit=ghz", "circuit.params.num_qubits=2,3", *fragile, *QUIET)
    assert ended.code == 1
    done(command("action=report", "tracking=off"))
    text = seen().text
    assert "1 failed." in text
    assert "qubit 2 is too warm" in text


def test_costs_are_those_of_the_first_parameter_set(command: Callable[..., Ended]) -> None:
    """Of several sets the metrics have a step each, of which the page tells the first, and says so."""
    Path("one.py").write_text(
        "from qiskit import QuantumCircuit\nfrom qiskit.circuit import Parameter\n\n\n"
        "def build():\n    circuit = QuantumCircuit(1)\n    circuit.ry(Parameter('theta'), 0)\n    return circuit\n\n\n"
        "def observables():\n    return {'z': 'Z'}\n",
        encoding="utf-8",
    )
    words = ["circuit=file", "circuit.name=one", "circuit.source=one.py", "mode=estimator", "reference=ideal"]
    done(command(*words, "+circuit.parameter_values.theta=[0.0,1.0]", *QUIET))
    done(command("action=report", *QUIET))
    assert "cost (s), first parameter set" in seen().text.splitlines()


def test_what_did_nothing_is_told_with_the_reason(command: Callable[..., Ended]) -> None:
    """Twirling of the readout on an ideal simulator, where no bit is misread."""
    done(command("circuit=bell", "backend=aer", "mode=estimator", "mitigation=trex", *QUIET))
    done(command("action=report", "tracking=off"))
    (file,) = Path("outputs").rglob("0-main/results.json")
    ignored = json.loads(file.read_text(encoding="utf-8"))["mitigation"]["ignored"]
    assert ignored
    lines = seen().text.splitlines()
    assert {*ignored, *ignored.values()} <= set(lines)


def test_how_qubits_were_misread_is_told(command: Callable[..., Ended]) -> None:
    """For each qubit that M3 has calibrated the shares of wrong readings, with their binomial errors."""
    done(command("circuit=bell", "backend=fake_manila", "mode=sampler", "mitigation=m3", *QUIET))
    done(command("action=report", "tracking=off"))
    (job,) = json.loads(next(Path("outputs").rglob("0-main/readout.json")).read_text(encoding="utf-8"))
    lines, shots = seen().text.splitlines(), job["shots_per_state"]
    assert "How the qubits were misread" in lines
    for qubit, ((_, low), (high, _)) in job["confusion"].items():
        shares = [with_error(share, (share * (1 - share) / shots) ** 0.5) for share in (high, low)]
        assert any(lines[place : place + 3] == [qubit, *shares] for place in range(len(lines)))


def test_a_run_whose_folder_is_gone_is_told_from_the_journal(command: Callable[..., Ended]) -> None:
    """All but its versions, which the journal does not know."""
    done(command("circuit=bell", "backend=fake_manila", *QUIET))
    folder = find_kept("latest").folder
    (job,) = json.loads((folder / "0-main/jobs.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    done(command("action=report", "tracking=off"))
    page = seen()
    assert job["id"] in page.text.splitlines()
    assert "Computed again from the journal" in page.text
    assert len(page.all("img")) == 2


def test_a_replay_has_a_report_of_its_own(command: Callable[..., Ended]) -> None:
    """It names the run whose numbers it has computed again, and the command that does it once more."""
    done(command("circuit=bell", "backend=aer", *QUIET))
    first = find_kept("latest").id
    done(command("action=replay", "tracking=off"))
    replay = next(run for file in Path("outputs").rglob("run.json") if (run := find_kept(str(file.parent))).replay_of)
    done(command("action=report", f"run={replay.id}", "tracking=off"))
    assert f"python -m qrt_runner action=replay run={first}" in seen().text.splitlines()


# --- what is refused, and what cannot be logged ---


@pytest.mark.parametrize("wanted", ["all", "20200101-000000-abcdef", "latest"])
def test_a_run_that_is_none_is_refused(command: Callable[..., Ended], wanted: str) -> None:
    """By the config path that names it, with what helps."""
    ended = command("action=report", f"run={wanted}", "tracking=off")
    assert ended.code == 2
    assert f"run: given {wanted}" in ended.err
    assert "action=status run=all" in ended.err
    assert list(Path("outputs").rglob("report-*.html")) == []


def test_a_store_that_is_gone_costs_the_logging_only(command: Callable[..., Ended]) -> None:
    """The report is written, and what could not be done is told with the exit code of the store."""
    done(command("circuit=bell", "backend=aer"))
    Path("mlflow.db").unlink()
    ended = command("action=report")
    assert ended.code != 0
    assert "could not be written (there is no such store)" in ended.err
    assert written().is_file()
    assert not Path("mlflow.db").exists()


# --- comparisons ---


def test_a_comparison_has_a_page_of_its_own(command: Callable[..., Ended]) -> None:
    """Three runs: each other one has its differences to the first, with what is beyond the errors and what is not."""
    runs = []
    for words in (("seed=1",), ("seed=2",), ("seed=3", "circuit=ghz", "mode.shots=512")):
        done(command("circuit=bell", "backend=fake_manila", "tracking=off", *words))
        # Ids tell the second: of two runs in the same one they do not tell which was first.
        runs.append(find_kept("latest").id)
    ended = done(command("action=compare", f"runs=[{','.join(runs)}]"))
    page = seen("comparison.html")
    assert structure_mistakes(page) == []
    assert {f"Differences to run {run}" for run in runs[1:]} <= set(page.text.splitlines())
    assert "comparison.json, .md and .html" in ended.out
    assert {"Counts", "Config", "Versions", "significant", "transpile.seed"} <= set(page.text.splitlines())


# --- numbers and words ---


def record(rows: list[dict[str, object]], **counts: int) -> Record:
    """Return a record with these rows and counts."""
    files = {"results.json": json.dumps({"rows": rows}).encode()}
    files |= {"counts.json": json.dumps([{"c": counts}]).encode()} if counts else {}
    return Record("0-main", "bell", "FINISHED", {}, {}, (), files)


def test_counts_are_told_with_binomial_errors():
    """256 of 1,024: a quarter, with sqrt(0.25 * 0.75 / 1024) = 0.0135."""
    grid = counts_grid(record([], c00=256, c11=768))
    assert grid is not None
    assert grid.rows == [["c11", "768", "0.750(14)"], ["c00", "256", "0.250(14)"]]
    assert counts_in_words(record([], c00=256, c11=768)).startswith("c11: 768 of 1024 (0.750(14)); c00: 256")


def test_values_have_the_digits_that_their_errors_leave():
    """Also their differences to exact values, which are exact; what no row tells has no column."""
    row = {"point": 0, "parameter_set": 0, "observable": "zz", "ev": 0.91992, "std": 0.01225, "ideal": 1.0}
    grid = values_grid("values", [{**row, "error": -0.08008}, {**row, "ev": 0.5, "std": float("inf"), "error": -0.5}])
    assert list(grid.titles) == ["point", "observable", "value", "ideal", "difference to ideal"]
    assert grid.rows[0] == ["0", "zz", "0.920(12)", "1", "-0.080(12)"]
    assert grid.rows[1] == ["0", "zz", "0.5 (no finite error)", "1", "-0.5 (no finite error)"]


def test_of_many_rows_a_page_shows_the_first_and_says_so():
    """1,001 rows of which 1,000 are shown."""
    grid = values_grid("values", [{"point": point, "ev": 0.0, "std": 0.1} for point in range(1001)])
    assert len(grid.rows) == 1000
    assert "the first 1000 of 1001 rows" in grid.caption


def test_many_values_are_told_by_their_range():
    """Ten values of one observable, in a sentence."""
    rows = [{"observable": "z", "ev": value / 10, "std": 0.01} for value in range(10)]
    assert values_in_words(rows) == "z from 0 to 0.9 in 10 values"


def test_an_overview_joins_values_and_errors():
    """As in the file, but with digits that mean something."""
    grid = overview_grid("Ladder", ["label", "value", "error", "cost_s"], [["zne", "0.91992", "0.01225", "4.86721"]])
    assert (grid.titles, grid.rows) == (["label", "value", "cost s"], [["zne", "0.920(12)", "4.867"]])


def test_what_is_the_same_in_an_overview_is_told_once():
    """One mode for both rows, and nothing ignored in either: two columns less, of which one has something to tell."""
    titles = ["label", "mode", "value", "error", "ignored"]
    grid = overview_grid("Ladder", titles, [[name, "raw", "0.5", "0.1", ""] for name in ("a", "b")])
    assert (grid.titles, grid.rows) == (["label", "value"], [["a", "0.50(10)"], ["b", "0.50(10)"]])
    assert grid.caption == "Ladder; in all rows: mode raw"


def test_overviews_tell_what_has_no_error():
    """A cell of the file is empty where a number is not known: neither costs the page."""
    rows = [["a", "0.5", ""], ["b", "", ""], ["c", "0.5", "inf"]]
    told = [list(row) for row in overview_grid("Ladder", ["label", "value", "error"], rows).rows]
    assert told == [["a", "0.5 (no finite error)"], ["b", "-"], ["c", "0.5 (no finite error)"]]


# --- the template ---


def test_what_is_told_is_escaped_everywhere():
    """A name that looks like a tag stays a name, in every kind of block."""
    evil = "<script>alert(1)</script>\"'&"
    blocks = [
        Words(evil),
        Items([evil]),
        Facts([(evil, evil)]),
        Grid(evil, [evil], [[evil, evil]]),
        Listing(evil, evil),
    ]
    page = Page(evil, evil, [Section(evil, [*blocks, Picture(evil, evil, DOT)], [Section(evil, folded=True)])])
    found = Seen(rendered(page).decode())
    assert found.all("script") == []
    assert found.text.count(evil) == 16
    assert found.all("img")[0]["alt"] == evil
    assert (found.all("img")[0]["width"], found.all("img")[0]["height"]) == ("1", "1")
    assert structure_mistakes(found) == []


# --- in a real browser ---


def test_a_real_browser_shows_it_to_everybody_and_asks_nobody(command: Callable[..., Ended]) -> None:
    """No complaint, no request but for the file, figures drawn, no barrier, wide or narrow, light or dark, printed."""
    with browser() as opened:
        done(
            command(
                "-m", "circuit=bell,ghz", "mode=sampler,estimator", "mitigation=none", "backend=fake_manila", *QUIET
            )
        )
        done(command("action=report", "tracking=off"))
        file = written().absolute()
        for scheme, name, size in (("light", "phone", PHONE), ("dark", "desk", DESK)):
            sized(opened, size)
            looking(opened, color_scheme=scheme)
            opened.get(file.as_uri())
            assert asked_for(opened) == [file.as_uri()]
            widths = opened.execute_script("return [...document.images].map(one => one.naturalWidth)")
            assert len(widths) >= 4
            assert all(widths)
            wide = "return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
            assert opened.execute_script(wide) <= 0, (name, scheme)
            kept_screenshot(opened, f"report-{name}-{scheme}")
            assert barriers(opened) == []
        assert complaints(opened) == []
        printed = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
        assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    """A page with a figure from elsewhere, without words, faint letters and a script that fails: all of it is told."""
    page = tmp_path / "page.html"
    page.write_text(
        "<html><title>t</title><body><img src='http://127.0.0.1:9/figure.png'>"
        "<p style='color:#ccc'>faint</p><script>absent()</script></body></html>",
        encoding="utf-8",
    )
    with browser() as opened:
        opened.get(page.as_uri())
        assert asked_for(opened) == [page.as_uri(), "http://127.0.0.1:9/figure.png"]
        told = {barrier.split()[0] for barrier in barriers(opened)}
        assert {"image-alt", "color-contrast", "html-has-lang"} <= told
        assert any("absent is not defined" in complaint for complaint in complaints(opened))


def test_a_keyboard_reaches_the_content_and_what_is_folded(tmp_path: Path) -> None:
    """The first key skips to the content; a folded part opens by the keyboard."""
    folded = Section("Folded", [Words("inside")], folded=True)
    page = tmp_path / "page.html"
    page.write_bytes(rendered(Page("Title", "Lead", [Section("First", [Words("words")], [folded])])))
    with browser() as opened:
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        opened.get(page.as_uri())
        focused = "return document.activeElement.getAttribute('href') || document.activeElement.tagName"
        ActionChains(opened).send_keys(Keys.TAB).perform()
        assert opened.execute_script(focused) == "#content"
        ActionChains(opened).send_keys(Keys.ENTER).perform()
        ActionChains(opened).send_keys(Keys.TAB).perform()
        assert opened.execute_script(focused) == "SUMMARY"
        ActionChains(opened).send_keys(Keys.ENTER).perform()
        assert opened.execute_script("return document.querySelector('details').open")


def test_on_paper_what_is_folded_is_open(tmp_path: Path) -> None:
    """Paper has no keys: nothing of a report is left out there, while on a screen it waits."""
    page = tmp_path / "page.html"
    page.write_bytes(rendered(Page("Title", "Lead", [Section("Folded", [Words("inside")], folded=True)])))
    with browser() as opened:
        opened.get(page.as_uri())
        inside = "return document.querySelector('details p').checkVisibility()"
        assert not opened.execute_script(inside)
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert opened.execute_script(inside)
        assert not opened.execute_script("return document.querySelector('nav').checkVisibility()")


def test_on_paper_wide_tables_are_whole(tmp_path: Path) -> None:
    """Paper does not scroll: sixteen columns of long words fit between its margins; a screen scrolls."""
    grid = Grid("wide", [f"column {place}" for place in range(16)], [["immeasurable_mitigation"] * 16])
    page = tmp_path / "page.html"
    page.write_bytes(rendered(Page("Title", "Lead", [Section("Table", [grid])])))
    over = "const box = document.querySelector('.wide'); return box.scrollWidth - box.clientWidth"
    with browser() as opened:
        sized(opened, (700, 900))
        opened.get(page.as_uri())
        assert opened.execute_script(over) > 0
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert opened.execute_script(over) <= 0
