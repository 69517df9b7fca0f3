"""The journal's database is made, brought up to date, or refused with what is wrong with it and what can be done."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from threading import Thread

import pytest
from journaling import bound_by_permissions, change_rows, python, run_entry, started, write_run

from qrt_runner.errors import JournalError
from qrt_runner.journal import Journal
from qrt_runner.journal.records import State
from qrt_runner.journal.schema import STEPS, VERSION

AGAIN = "then give the same command again"
RESTORE = (
    "; remedy: restore a copy of the journal's folder, or move that away: what is recorded in outputs/ and in MLflow "
    "stays, while jobs still under way are then known to the service only"
)

STATE = """state TEXT NOT NULL CHECK (state IN
    ('planned', 'submitting', 'submitted', 'done', 'failed', 'cancelled', 'recorded'))"""
RUN = "run TEXT NOT NULL REFERENCES runs (id)"
VERSION_1 = f"""
PRAGMA application_id=1903326257;
CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, name TEXT NOT NULL,
    title TEXT NOT NULL, {STATE}, folder TEXT NOT NULL, command TEXT NOT NULL, began TEXT NOT NULL,
    grouped INTEGER NOT NULL, folders INTEGER NOT NULL, tracking TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, parent TEXT, interrupted INTEGER NOT NULL, plan_sha TEXT NOT NULL, note TEXT NOT NULL);
CREATE TABLE points ({RUN}, "index" INTEGER NOT NULL, overrides TEXT NOT NULL, {STATE}, PRIMARY KEY (run, "index"));
CREATE TABLE tasks ({RUN}, point INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, {STATE}, mlflow_run TEXT,
    error TEXT NOT NULL, PRIMARY KEY (run, point, name));
CREATE TABLE jobs ({RUN}, "index" INTEGER NOT NULL, mode TEXT NOT NULL, backend TEXT NOT NULL, section TEXT NOT NULL,
    "where" TEXT NOT NULL, "group" INTEGER, sets INTEGER NOT NULL, expected_s REAL NOT NULL, {STATE},
    PRIMARY KEY (run, "index"));
CREATE TABLE groups ({RUN}, "index" INTEGER NOT NULL, kind TEXT NOT NULL, backend TEXT NOT NULL, section TEXT NOT NULL,
    max_time, attached INTEGER NOT NULL, {STATE}, service_id TEXT, began TEXT, closed TEXT, error TEXT NOT NULL,
    PRIMARY KEY (run, "index"));
CREATE TABLE submissions (id INTEGER PRIMARY KEY AUTOINCREMENT, {RUN}, job INTEGER NOT NULL, attempt INTEGER NOT NULL,
    spans TEXT NOT NULL, tag TEXT NOT NULL, {STATE}, began TEXT NOT NULL, service_id TEXT, session_id TEXT,
    session_kind TEXT, error TEXT NOT NULL, quantum_s REAL NOT NULL, result TEXT, sha TEXT, record TEXT NOT NULL,
    FOREIGN KEY (run, job) REFERENCES jobs (run, "index"));
CREATE INDEX runs_by_key ON runs (key);
CREATE INDEX submissions_by_job ON submissions (run, job);
INSERT INTO runs (id, key, name, title, state, folder, command, began, grouped, folders, tracking, host, pid,
    interrupted, plan_sha, note)
    VALUES ('r1', 'command', 'bell', 'bell (2 points)', 'planned', 'outputs/today',
    'python -m qrt_runner circuit=bell', '2026-11-02T10:00:00+00:00', 1, 0, '{{"uri": null}}', 'here', 7, 0, '', '');
INSERT INTO jobs VALUES ('r1', 0, 'sampler', 'ibm_fez', '{{}}', 'ibm', NULL, 4, 2.0, 'submitted');
INSERT INTO submissions (run, job, attempt, spans, tag, state, began, service_id, error, quantum_s, record)
    VALUES ('r1', 0, 1, '[[0, 0, 4]]', 'tag', 'submitted', '2026-11-02T10:00:01+00:00', 's1', '', 0.0, '{{}}');
PRAGMA user_version=1;
"""  # noqa: S608 - written here
"""A file as the first version wrote it, kept as it was."""

OPENED = """
from pathlib import Path
from qrt_runner.errors import JournalError
from journaling import Journal, write_run
try:
    with Journal(Path("journal")) as journal:
        write_run(journal, "more", points={points})
except JournalError as error:
    print(error)
"""


@pytest.fixture
def folder(tmp_path):
    """The folder of a journal that holds a run of a thousand points, and is closed."""
    with Journal(tmp_path / "journal") as journal:
        write_run(journal, points=1000)
    return tmp_path / "journal"


def refusal(folder):
    """Return what the journal says when it is not opened."""
    with pytest.raises(JournalError) as caught:
        Journal(folder)
    return str(caught.value)


def tables(file):
    """Return tables and indexes of a database, with their columns."""
    with closing(sqlite3.connect(file)) as database:
        names = database.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
        return {name: sorted(row[1] for row in database.execute(f"PRAGMA table_xinfo({name})")) for (name,) in names}


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path):
    """What it holds is kept, what was missing is there, and it is as one that is made today."""
    folder = tmp_path / "journal"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        database.executescript(VERSION_1)
    with Journal(folder) as journal:
        assert journal.run("r1") == run_entry()
        (found,) = journal.submissions("r1")
        assert (found.service_id, found.ended) == ("s1", None)
        with journal.held("r1") as diary:
            diary.done(found.id, b"raw", "counts", {})
            assert diary.submissions(0)[0].ended is not None
    with Journal(tmp_path / "fresh"):
        pass
    assert tables(folder / "journal.db") == tables(tmp_path / "fresh" / "journal.db")


def test_a_file_is_brought_up_to_date_once(tmp_path):
    """However many open it at the same time."""
    folder = tmp_path / "journal"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        database.executescript(VERSION_1)
    failed = []

    def opened() -> None:
        try:
            with Journal(folder) as journal:
                assert journal.submissions("r1")[0].ended is None
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    openers = [Thread(target=opened) for _ in range(8)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert failed == []


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """The program that knows the older version can still read it."""
    monkeypatch.setattr("qrt_runner.journal.opening.STEPS", (*STEPS, ("CREATE TABLE more (a)", "NO SUCH WORD")))
    with Journal(tmp_path / "journal"):
        pass
    before = tables(tmp_path / "journal" / "journal.db")
    monkeypatch.setattr("qrt_runner.journal.opening.VERSION", VERSION + 1)
    assert 'near "NO": syntax error' in refusal(tmp_path / "journal")
    assert tables(tmp_path / "journal" / "journal.db") == before


def test_a_file_of_a_later_version_is_refused(folder):
    """Nothing is written to what is not understood."""
    change_rows(folder / "journal.db", f"PRAGMA user_version={VERSION + 1}")
    assert refusal(folder) == (
        f"journal.folder: {folder}/journal.db is of version {VERSION + 1}, and this program knows versions up to "
        f"{VERSION}; remedy: install the qrt_runner that wrote it, or a later one, {AGAIN}; or name another "
        "journal.folder"
    )


def test_states_are_those_of_the_records():
    """A step is never changed, so a new state asks for a new one."""
    assert "'" + "', '".join(State.__args__) + "'" in STEPS[0][0]


# --- damage ---------------------------------------------------------------------------------------------------------


def test_an_overwritten_page_is_found(folder):
    """On opening, before anything is read from it."""
    content = bytearray((folder / "journal.db").read_bytes())
    content[3 * 4096 : 4 * 4096] = random.Random(3).randbytes(4096)  # noqa: S311 - no secret
    (folder / "journal.db").write_bytes(content)
    told = refusal(folder)
    assert told.startswith(f"journal.folder: {folder}/journal.db is damaged (")
    assert told.endswith(RESTORE)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_file_is_found(folder, kept):
    """Wherever it was cut off."""
    content = (folder / "journal.db").read_bytes()
    (folder / "journal.db").write_bytes(content[: int(len(content) * kept)])
    told = refusal(folder)
    assert told == f"journal.folder: {folder}/journal.db is damaged (database disk image is malformed){RESTORE}"


def test_an_empty_file_is_no_fresh_one(folder):
    """It was cut off: ours are never empty."""
    (folder / "journal.db").write_bytes(b"")
    assert refusal(folder) == f"journal.folder: {folder}/journal.db is empty{RESTORE}"


def test_a_text_file_is_no_journal(folder):
    """It is left as it is."""
    (folder / "journal.db").write_text("dear diary, " * 100, encoding="utf-8")
    assert refusal(folder) == f"journal.folder: {folder}/journal.db is no journal (file is not a database){RESTORE}"
    assert (folder / "journal.db").read_text(encoding="utf-8").startswith("dear diary")


def test_another_programs_database_is_refused(tmp_path):
    """And left as it is."""
    folder = tmp_path / "journal"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        database.execute("CREATE TABLE songs (title)")
    before = (folder / "journal.db").read_bytes()
    assert refusal(folder) == f"journal.folder: {folder}/journal.db is another program's database{RESTORE}"
    assert (folder / "journal.db").read_bytes() == before


def test_a_missing_file_is_not_made_beside_what_it_told_of(tmp_path):
    """Plans and results without their journal are no fresh folder."""
    with Journal(tmp_path / "journal") as journal:
        journal.keep_plan("r1", {"plan.json": b"{}"})
    (tmp_path / "journal" / "journal.db").unlink()
    folder = tmp_path / "journal"
    assert refusal(folder) == (
        f"journal.folder: {folder}/journal.db is missing, though {folder}/plans/r1.zip is there{RESTORE}"
    )


def test_a_log_that_lost_its_file_is_not_played_into_another(tmp_path):
    """SQLite would do so."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "journal.db-wal").write_bytes(b"frames")
    assert "journal.db is missing, though" in refusal(tmp_path / "journal")


@pytest.mark.parametrize(("column", "value"), [("spans", "[[0"), ("record", "{"), ("spans", "[[1, 2, 3, 4]]")])
def test_a_row_that_cannot_be_read_is_told(folder, column, value):
    """With its table."""
    change_rows(
        folder / "journal.db",
        "INSERT INTO submissions (run, job, attempt, spans, tag, state, began, error, quantum_s, record) "
        "VALUES ('r1', 0, 1, '[]', 'tag', 'submitted', '', '', 0.0, '{}')",
        f"UPDATE submissions SET {column} = '{value}'",  # noqa: S608 - written above
    )
    with Journal(folder) as journal, pytest.raises(JournalError) as caught:
        journal.submissions("r1")
    assert f"{folder}/journal.db is damaged (a row of submissions cannot be read: " in str(caught.value)
    assert str(caught.value).endswith(RESTORE)


def test_a_text_that_cannot_be_decoded_is_told(folder):
    """It is damage as any other."""
    change_rows(folder / "journal.db", "UPDATE runs SET note = CAST(x'ff' AS TEXT)")
    with Journal(folder) as journal, pytest.raises(JournalError, match=r"is damaged \(Could not decode to UTF-8"):
        journal.runs()


def test_a_draft_that_a_killed_process_left_is_replaced(tmp_path):
    """It is never taken for the journal."""
    (tmp_path / "journal").mkdir()
    for ending in ("", "-journal", "-wal"):
        (tmp_path / "journal" / f"journal.db.new{ending}").write_bytes(b"half of it")
    with Journal(tmp_path / "journal") as journal:
        write_run(journal)
        assert len(journal.runs()) == 1
    assert [path.name for path in (tmp_path / "journal").glob("journal.db*")] == ["journal.db"]


# --- no room, no rights ---------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_costs_nothing_written_before(tmp_path):
    """The run that had no room is not there, in no part; with room it is."""
    with Journal(tmp_path / "journal") as journal:
        write_run(journal, "first")
        pages = journal.database.rows("PRAGMA page_count")[0][0]
        journal.database.rows(f"PRAGMA max_page_count={pages + 5}")
        with pytest.raises(JournalError) as caught:
            write_run(journal, "second", points=2000)
        assert str(caught.value) == (
            f"journal.folder: {tmp_path}/journal/journal.db cannot be written, because its disk is full (database or "
            f"disk is full); remedy: make room on its disk, {AGAIN}: what was written before is whole"
        )
        assert [run.id for run in journal.runs()] == ["first"]
        journal.database.rows("PRAGMA max_page_count=1000000")
        write_run(journal, "second", points=2000)
        assert len(journal.tasks("second")) == 2000


def test_a_disk_that_is_really_full(folder):
    """A file system of a MiB, with a journal on it that is whole afterwards."""
    if not (unshare := shutil.which("unshare")) or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    shutil.copytree(folder, "copy")
    code = f"{OPENED.replace('{points}', '8000')}\nwith Journal(Path('journal')) as journal: print(len(journal.runs()))"
    mounted = 'mount -t tmpfs -o size=1m none journal && cp -r copy/. journal/ && exec "$@"'
    done = python(code, before=[unshare, "--mount", "sh", "-c", mounted, "sh"])
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("no file system can be mounted here")
    told, runs = done.stdout.splitlines()
    assert "journal.db cannot be written, because its disk is full (" in told, done.stderr
    assert runs == "1"


def test_a_file_that_may_not_grow_is_told(folder):
    """As under a quota; the journal is whole afterwards."""
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n" + OPENED
    done = python(code.replace("{points}", "8000"))
    assert done.stdout.startswith(f"journal.folder: {folder}/journal.db could not be read or written (disk I/O error)")
    assert "see whether its disk is full, over quota, gone or failing" in done.stdout
    with Journal(folder) as journal:
        assert [run.id for run in journal.runs()] == ["r1"]


@pytest.mark.parametrize("closed", ["journal", "journal.db", "parent"])
def test_where_nothing_may_be_written_is_told(folder, closed):
    """A folder, a file, or the place where a folder would be made."""
    before = bound_by_permissions()
    place = {"journal": folder, "journal.db": folder / "journal.db", "parent": folder.parent}[closed]
    if closed == "parent":
        shutil.rmtree(folder)
    place.chmod(0o500 if place.is_dir() else 0o400)
    try:
        done = python(OPENED.replace("{points}", "1"), before=before)
    finally:
        place.chmod(0o700)
    assert done.stdout.startswith(f"journal.folder: {folder}"), done.stderr
    assert "written" in done.stdout
    assert done.stdout.endswith(f"remedy: allow writing there, or work in another folder, {AGAIN}\n")


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path):
    """With its path."""
    (tmp_path / "journal").write_text("mine", encoding="utf-8")
    told = refusal(tmp_path / "journal")
    assert told.startswith(f"journal.folder: {tmp_path}/journal")
    assert "could not be read or written (" in told


def test_a_database_that_another_keeps_locked_is_told(folder, monkeypatch):
    """After a minute, here after a moment."""
    monkeypatch.setattr("qrt_runner.journal.opening._WAIT_S", 0.05)
    with Journal(folder) as journal:
        code = (
            "import sqlite3, sys\nd = sqlite3.connect('journal/journal.db', isolation_level=None)\n"
            "d.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.readline()"
        )
        other = started(code)
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(JournalError) as caught:
            journal.update_run("r1", note="waits")
        assert len(journal.runs()) == 1
        other.communicate("\n")
        journal.update_run("r1", note="goes on")
    assert str(caught.value) == (
        f"journal.folder: {folder}/journal.db has been kept locked by another process for too long (database is "
        f"locked); remedy: wait for that process or end it, {AGAIN}"
    )
