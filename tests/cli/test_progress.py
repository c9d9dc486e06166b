"""What long jobs say about the time that is left, in a log."""

from dextr_vos.cli.progress import progress_of_jobs


def test_jobs_say_nothing_of_the_time_until_a_part_is_done(capsys):
    with progress_of_jobs(2, 0, "cell") as (report, _):
        report(0, 0, 0.0, ["dog, gt"])
        report(1, 0, 0.5, ["dog, dextr"])
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "0 of 2 cells; now dog, gt"


def test_a_job_in_progress_gives_the_time_that_is_left(capsys):
    with progress_of_jobs(3, 1, "cell") as (report, _):
        report(1, 0, 0.5, ["dog, dextr"])
    assert capsys.readouterr().err.endswith(" s left; now dog, dextr\n")
