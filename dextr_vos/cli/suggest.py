"""`dextr-vos suggest`: which frame of a run to annotate next."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Which frame to annotate next.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many frames, the most useful first.",
)
def command(run: Path, count: int) -> None:
    """Name the frame whose annotation would help the masks of RUN most.

    It goes by how far each mask can be trusted, and how far it is from the keyframes. Names go to standard
    output, one a line, the most useful first. Click on the object in these frames, write the points into a
    file, and give it to dextr-vos annotate --clicks.
    """
    from dextr_vos.cli.workspaces import run_folder
    from dextr_vos.errors import InputError
    from dextr_vos.propagation.suggest import suggest
    from dextr_vos.run_files import RunPaths, keyframe_names, read_confidence

    folder = RunPaths(run_folder(run))
    scores = read_confidence(folder.confidence)
    names = list(scores)
    doubts = [1 - min(of_frame.values(), default=1.0) for of_frame in scores.values()]
    keyframes = [names.index(name) for name in keyframe_names(folder.record) if name in scores]
    if not keyframes:
        raise InputError(f"{folder.record} notes no keyframe of its own; run train-propagation again")
    for index in suggest(doubts, keyframes, count):
        click.echo(names[index])
        click.echo(f"  confidence {1 - doubts[index]:.2f}", err=True)
