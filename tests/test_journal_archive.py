"""Files of the journal are whole or not there, and what is read is what was written."""

from __future__ import annotations

import io
import re
import signal
import zipfile
import zlib

import pytest
from journaling import RECORD, WHOLE, bound_by_permissions, job, python, run_entry, started, task

from qrt_runner.errors import JournalError
from qrt_runner.journal import (
    Journal,
    packed_bytes,
    read_checked,
    read_parts,
    unpacked_bytes,
    write_checked,
    write_parts,
)

AGAIN = "then give the same command again"
RESTORE = (
    "; remedy: restore a copy of the journal's folder, or move that away: what is recorded in outputs/ and in MLflow "
    "stays, while jobs still under way are then known to the service only"
)
FOREIGN = "; remedy: it was not written by this program: remove it"
WRITTEN = """
import sys
from pathlib import Path
from qrt_runner.errors import JournalError
from qrt_runner.journal import write_checked
try:
    write_checked(Path("kept/one"), bytes(100_000))
except JournalError as error:
    print(error)
"""
ENDLESS = """
import sys
from pathlib import Path
from qrt_runner.journal import write_checked
turn = 0
while True:
    write_checked(Path("kept/one"), str(turn % 10).encode() * 500_000)
    if not turn:
        print("ready", flush=True)
    turn += 1
"""
WITHOUT_ROOM = """
import random, resource
from pathlib import Path
from journaling import RECORD, WHOLE, Journal, job, run_entry, task
from qrt_runner.errors import JournalError

with Journal(Path("journal")) as journal:
    with journal.begun(run_entry(), [(0, [])], [task()], [job()]) as diary:
        submission = diary.submitting(0, WHOLE, "tag")
        diary.submitted(submission, "s1", None, None)
        noise = random.Random(1).randbytes(500_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        try:
            diary.done(submission, noise, "counts", RECORD)
        except JournalError as error:
            print(error)
"""


@pytest.fixture
def kept(tmp_path):
    """A journal with one result, its submission and its file."""
    with Journal(tmp_path / "journal") as journal:
        with journal.begun(run_entry(), [(0, [])], [task()], [job()]) as diary:
            diary.done(diary.submitting(0, WHOLE, "tag"), b"counts " * 1000, "counts", RECORD)
        (submission,) = journal.submissions("r1")
        yield journal, submission, journal.folder / submission.result


def refusal(action, *arguments: object, **options: int):
    """Return what is said where something cannot be read or written."""
    with pytest.raises(JournalError) as caught:
        action(*arguments, **options)
    return str(caught.value)


# --- single files ---------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Over one that was there, and with nothing left beside it."""
    file = tmp_path / "kept" / "one"
    write_checked(file, b"first")
    sha = write_checked(file, b"second")
    assert read_checked(file, sha) == b"second"
    assert [path.name for path in file.parent.iterdir()] == ["one"]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_that_was_changed_is_refused(tmp_path):
    """One bit is enough."""
    file = tmp_path / "one"
    sha = write_checked(file, b"counts")
    file.write_bytes(b"countr")
    found = "[0-9a-f]{12}"
    told = refusal(read_checked, file, sha)
    assert re.fullmatch(
        re.escape(f"journal.folder: {file} is damaged (its SHA-256 is ")
        + found
        + re.escape(f"..., {sha[:12]}... was written down){RESTORE}"),
        told,
    )


def test_a_file_without_a_checksum_is_not_trusted(tmp_path):
    """What was not written down was not kept."""
    write_checked(tmp_path / "one", b"counts")
    assert "..., none... was written down" in refusal(read_checked, tmp_path / "one", "")


def test_a_file_that_is_missing_is_told(tmp_path):
    """With its path."""
    assert refusal(read_checked, tmp_path / "one", "ab") == f"journal.folder: {tmp_path}/one is missing{RESTORE}"


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """Its size is looked at first."""
    sha = write_checked(tmp_path / "one", bytes(2**20))
    told = refusal(read_checked, tmp_path / "one", sha, most_bytes=2**19)
    assert told == f"journal.folder: {tmp_path}/one holds more than 0.000488 GiB{FOREIGN}"


def test_no_room_leaves_what_was_there(tmp_path):
    """A file that may not get so large, as on a full disk: the former one is whole, and no draft takes room."""
    sha = write_checked(tmp_path / "kept" / "one", b"first")
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
    done = python(limited + WRITTEN)
    assert done.stdout == (
        "journal.folder: kept/one cannot be written, because it may not get so large (File too large); remedy: make "
        f"room on its disk, {AGAIN}: what was written before is whole\n"
    ), done.stderr
    assert read_checked(tmp_path / "kept" / "one", sha) == b"first"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["one"]


def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    """With what can be done."""
    write_checked(tmp_path / "kept" / "one", b"first")
    (tmp_path / "kept").chmod(0o500)
    done = python(WRITTEN, before=bound_by_permissions())
    (tmp_path / "kept").chmod(0o700)
    assert done.stdout == (
        "journal.folder: kept/one cannot be written (Permission denied); remedy: allow writing there, or work in "
        f"another folder, {AGAIN}\n"
    ), done.stderr


def test_a_writer_that_is_killed_leaves_the_former_file(tmp_path):
    """Whoever reads meets all of one, never a part."""
    for _ in range(3):
        writer = started(ENDLESS)
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = (tmp_path / "kept" / "one").read_bytes()
        assert content == content[:1] * 500_000


# --- compressed bytes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"counts", bytes(10**6)])
def test_bytes_are_unpacked_as_they_were_packed(tmp_path, content):
    """Up to exactly as many as are allowed."""
    most = max(len(content), 1)
    assert unpacked_bytes(packed_bytes(content), tmp_path / "one", most) == content


def test_few_bytes_that_hold_many_are_refused(tmp_path):
    """Before they take the memory."""
    bomb = zlib.compress(bytes(50 * 2**20), 9)
    assert len(bomb) < 100_000
    told = refusal(unpacked_bytes, bomb, tmp_path / "one", 2**20)
    assert told == f"journal.folder: {tmp_path}/one holds more than 0.000977 GiB{FOREIGN}"


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-5], lambda whole: whole + b"more", lambda _: b"no zlib"])
def test_bytes_that_are_no_packed_ones_are_refused(tmp_path, spoil):
    """Cut off, with something behind, or something else."""
    told = refusal(unpacked_bytes, spoil(packed_bytes(b"counts " * 100)), tmp_path / "one")
    assert told.startswith(f"journal.folder: {tmp_path}/one is damaged (")
    assert told.endswith(RESTORE)


# --- parts ----------------------------------------------------------------------------------------------------------


def test_parts_are_read_as_they_were_written(tmp_path):
    """By name and in their order; the same parts give the same file."""
    parts = {"plan.json": b"{}", "programs/0.qpy": bytes(range(256)) * 100, "empty": b""}
    file = tmp_path / "plan.zip"
    sha = write_parts(file, parts)
    assert list(read_parts(file, sha).items()) == list(parts.items())
    assert write_parts(file, parts) == sha
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


def test_parts_that_unpack_to_too_much_are_refused(tmp_path):
    """All of them together count."""
    file = tmp_path / "plan.zip"
    sha = write_parts(file, {str(number): bytes(2**20) for number in range(5)})
    assert file.stat().st_size < 2**16
    told = refusal(read_parts, file, sha, 4 * 2**20)
    assert told == f"journal.folder: {file} holds more than 0.00391 GiB{FOREIGN}"


def test_a_part_that_lies_about_its_size_is_refused(tmp_path):
    """It declares a byte and holds a MiB."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", bytes(2**20))
    lie = whole.getvalue().replace((2**20).to_bytes(4, "little"), (1).to_bytes(4, "little"))
    sha = write_checked(tmp_path / "plan.zip", lie)
    assert "plan.zip is damaged (Bad CRC-32" in refusal(read_parts, tmp_path / "plan.zip", sha)


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_parts_packed_in_other_ways_are_refused(tmp_path, way):
    """This program packs in one way only."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", way) as archive:
        archive.writestr("one", b"counts")
    sha = write_checked(tmp_path / "plan.zip", whole.getvalue())
    told = refusal(read_parts, tmp_path / "plan.zip", sha)
    assert told == f"journal.folder: {tmp_path}/plan.zip is damaged (it was packed by another program){RESTORE}"


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    """Whatever its checksum."""
    sha = write_checked(tmp_path / "plan.zip", b"dear diary")
    told = refusal(read_parts, tmp_path / "plan.zip", sha)
    assert told == f"journal.folder: {tmp_path}/plan.zip is damaged (File is not a zip file){RESTORE}"


# --- results --------------------------------------------------------------------------------------------------------


def test_a_result_lies_where_its_row_says(kept):
    """Compressed, in the folder of its run."""
    journal, submission, file = kept
    assert submission.result == "results/r1/1-counts.z"
    assert file.stat().st_size < 200
    assert journal.raw(submission) == (b"counts " * 1000, "counts")


@pytest.mark.parametrize("spoil", [lambda whole: whole[:20] + b"\x00" + whole[21:], lambda whole: whole[:-1]])
def test_a_damaged_result_is_told(kept, spoil):
    """One byte changed, or the last one gone."""
    journal, submission, file = kept
    file.write_bytes(spoil(file.read_bytes()))
    told = refusal(journal.raw, submission)
    assert told.startswith(f"journal.folder: {file} is damaged (its SHA-256 is ")
    assert told.endswith(RESTORE)


def test_a_missing_result_is_told(kept):
    """With its path."""
    journal, submission, file = kept
    file.unlink()
    assert refusal(journal.raw, submission) == f"journal.folder: {file} is missing{RESTORE}"


def test_a_result_that_lies_elsewhere_is_not_read(kept):
    """Rows of a journal from somebody else may name any file."""
    journal, _, file = kept
    journal.database.rows("UPDATE submissions SET result = '../../../etc/passwd'")
    (submission,) = journal.submissions("r1")
    assert "no result is kept under such a name" in refusal(journal.raw, submission)
    assert file.exists()


def test_a_result_without_room_is_not_told_as_done(tmp_path):
    """The job stays submitted, so that its result is fetched again."""
    done = python(WITHOUT_ROOM)
    file = tmp_path / "journal" / "results" / "r1" / "1-counts.z"
    assert done.stdout.startswith(f"journal.folder: {file} cannot be written"), done.stderr
    with Journal(tmp_path / "journal") as journal:
        assert [found.state for found in journal.submissions("r1")] == ["submitted"]
        assert [found.state for found in journal.jobs("r1")] == ["submitted"]
        with journal.held("r1") as diary:
            diary.done(1, b"fetched again", "counts", RECORD)
            assert diary.raw(diary.submissions(0)[0]) == (b"fetched again", "counts")
