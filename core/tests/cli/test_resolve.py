from __future__ import annotations

import pytest

import tocsin


def titles(post):
    return [one["parts"]["title"] for one in post.messages]


def test_whoever_had_the_alert_is_told(cli, post, history):
    """What is over is told where the alert went, and the next one like it is admitted."""
    cli("send", "Disk is full", "--level", "error")

    result = cli("resolve", "Disk is full", "it was emptied")
    assert result.exit_code == 0
    assert "✓  dm  delivered" in result.stdout
    assert titles(post) == ["ERROR: Disk is full", "INFO: Resolved: Disk is full"]
    assert post.messages[1]["parts"]["text"] == "it was emptied"
    assert cli("send", "Disk is full").exit_code == 0


def test_by_key(cli, post):
    """An alert with a key is known by it."""
    cli("send", "Disk is at 98 %", "--key", "disk")

    assert cli("resolve", "disk").exit_code == 0
    assert titles(post)[1] == "INFO: Resolved: Disk is at 98 %"


def test_nothing_to_resolve(cli, post, history):
    """With no such alert nobody is told, and nothing is kept: 4."""
    cli("send", "Disk is full")
    cli("resolve", "Disk is full")

    result = cli("resolve", "Disk is full")
    assert result.exit_code == 4
    assert "No alert 'Disk is full' went anywhere: nobody is told." in result.stdout
    assert len(history()) == 2


@pytest.mark.parametrize(
    ("sent", "resolved", "code"),
    [
        (["--project", "mnist"], ["--project", "mnist"], 0),
        (["--project", "mnist"], [], 4),
        ([], ["--project", "mnist"], 4),
        ([], ["--job", "7"], 4),
    ],
)
def test_where_it_came_from_counts(sent, resolved, code, cli, post):
    """An alert of the same title from elsewhere is another one."""
    cli("send", "Disk is full", *sent)

    assert cli("resolve", "Disk is full", *resolved).exit_code == code


def test_of_a_job(cli, post, monkeypatch):
    """Within the job its alerts are known; from outside, the job is named."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    cli("send", "one")
    cli("send", "two")

    assert cli("resolve", "one").exit_code == 0
    monkeypatch.delenv("SLURM_JOB_ID")
    assert cli("resolve", "two").exit_code == 4
    assert cli("resolve", "two", "--job", "7").exit_code == 0


def test_of_a_run(cli, post, monkeypatch):
    """What a run raised is resolved from a shell by the run's id, even in a job's shell."""
    origin = tocsin.Origin(project="mnist", run="wise-owl")
    with tocsin.Notifier.from_config() as notifier:
        notifier.notify(tocsin.Alert("Loss is NaN", origin=origin))

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    line = ["resolve", "Loss is NaN", "--project", "mnist"]
    assert cli(*line).exit_code == 4
    assert cli(*line, "--run", "wise-owl").exit_code == 0
    assert titles(post)[1] == "INFO: Resolved: Loss is NaN"


def test_text_from_standard_input(cli, post):
    """A text of - is read from standard input."""
    cli("send", "Disk is full")
    cli("resolve", "Disk is full", "-", stdin="rm -r /tmp")

    assert post.messages[1]["parts"]["text"] == "rm -r /tmp"


def test_no_wait(cli, post):
    """With --no-wait it is kept, and told later."""
    cli("send", "Disk is full")

    result = cli("resolve", "Disk is full", "--no-wait")
    assert result.exit_code == 0
    assert "Kept for dm." in result.stdout
    assert len(post.messages) == 1
    assert cli("drain").exit_code == 0
    assert len(post.messages) == 2


def test_no_channel(cli):
    """With nothing configured there is nobody to tell: 4."""
    assert cli("resolve", "x").exit_code == 4


def test_not_a_member(cli, post):
    """A team that is unknown ends with 2."""
    assert cli("resolve", "x", "--team", "vision").exit_code == 2
