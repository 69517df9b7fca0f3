"""One command, end to end."""


def test_default_experiment_is_recorded(command, store):
    """The default experiment ends well and leaves one finished run."""
    ended = command()
    assert ended.code == 0, ended.err
    runs = store.search_runs([store.get_experiment_by_name("qrt_runner").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_two_commands_in_one_process(command):
    """A second command in the same process does not see the first one's settings."""
    assert command("tracking=off").code == 0
    assert command("circuit=nope").code == 2
