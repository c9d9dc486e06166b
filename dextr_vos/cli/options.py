"""Options that several commands share: a flag means the same wherever it stands.

`-o/--out` is the folder a command fills. `--model` chooses a network by its name, `--weights` a checkpoint
of the one that turns clicks into masks. `--keyframes` is always a workspace or a folder of keyframe masks,
`--masks` a run or a folder with the masks of one clip, `--results` a folder of those. `--frames` is always a
list of frames. `--json` writes the figures that are printed.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
CLICK_MODELS = ("lite", "paper", "grabcut", "sam", "sam2")
PROPAGATION_MODELS = ("lite", "paper", "sam2")
DIRECTIONS = ("both", "forward", "backward")
# the keys of `export.formats.registry.FORMATS`
MASK_FORMATS = (
    "masks",
    "objects",
    "coco",
    "yolo",
    "davis",
    "youtube-vos",
    "voc",
    "labelme",
    "label-studio",
    "cvat-images",
    "cvat-video",
)
# the keys of `export.film.FILM_FORMATS`
FILM_FORMATS = (
    "prores-4444",
    "webm-alpha",
    "green-screen",
    "rgba",
    "feathered-mattes",
    "feathered-matte-video",
)
ALL_FORMATS = (*MASK_FORMATS, *FILM_FORMATS)
SHAPES = ("mask", "polygon")
FRAME_MATCHES = ("name", "number")


class ClipCommand(click.RichCommand):
    """A command on CLIP, which says what to give to who lets the shell list the files of a folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        given = [*args]  # click takes them out
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            clip = ctx.params.get("clip")
            if not isinstance(clip, Path):
                raise
            from dextr_vos.images import SUFFIXES

            images = [each for each in map(Path, given) if each.suffix.lower() in SUFFIXES]
            if clip not in images or [each.parent for each in images].count(clip.parent) < 2:
                raise
            raise click.UsageError(f"give the folder {clip.parent}, not its files", ctx) from None


def out_option(help_text: str, metavar: str = "DIR", required: bool = True) -> Callable[[F], F]:
    """`-o/--out`: the folder to fill."""
    return click.option("-o", "--out", type=PATH, metavar=metavar, required=required, help=help_text)


def device_option(
    help_text: str = "Where to compute: auto, cpu, cuda, cuda:1, mps.",
) -> Callable[[F], F]:
    """`--device`: where networks compute."""
    return click.option("--device", default="auto", show_default=True, help=help_text)


def training_device_option() -> Callable[[F], F]:
    """`--device` of a training, which torchrun may start on several GPUs."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute: auto, cpu, cuda (with torchrun: all GPUs).",
    )


def seed_option(help_text: str) -> Callable[[F], F]:
    """`--seed`: of everything random."""
    kind = click.IntRange(0, 2**32 - 1)
    return click.option("--seed", type=kind, default=0, show_default=True, help=help_text)


def click_model_options(function: F) -> F:
    """`--model` and `--weights`: what makes masks of clicks."""
    model = click.option(
        "--model",
        type=click.Choice(CLICK_MODELS),
        help="Model that turns clicks into masks: lite (shipped), grabcut (no network), or with --weights "
        "paper (the published DEXTR), sam or sam2; default: the model of --weights, otherwise lite.",
    )
    weights = click.option(
        "--weights", type=PATH, metavar="FILE", help="Checkpoint for --model (.pth, .safetensors)."
    )
    return model(weights(function))


def davis_root_option(help_text: str, required: bool = False) -> Callable[[F], F]:
    """`--davis-root`: the folder of DAVIS; where it is required, DAVIS_ROOT in the environment will do."""
    return click.option(
        "--davis-root",
        type=PATH,
        metavar="DIR",
        required=required,
        envvar="DAVIS_ROOT" if required else None,
        show_envvar=required,
        help=help_text,
    )


def config_option(help_text: str) -> Callable[[F], F]:
    """`--config`: a YAML file of settings."""
    return click.option("--config", required=True, type=PATH, metavar="FILE", help=help_text)


def project_options(function: F) -> F:
    """`--project` and where its clips are computed."""
    options = (
        click.option(
            "--project",
            type=PATH,
            metavar="FOLDER",
            help="In place of CLIP: every clip with keyframes in this folder of clips, or of workspaces.",
        ),
        click.option("--dry-run", is_flag=True, help="With --project: list what would be done, do nothing."),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="With --project: clips at a time; by default what cores and memory allow, or all GPUs.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="With --project: threads for each clip; another number may round masks differently.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="With --project: run on a Dask cluster, like tcp://127.0.0.1:8786.",
        ),
        click.option("--gpu", is_flag=True, help="With --scheduler: jobs ask for the resource GPU=1."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def settings_argument() -> Callable[[F], F]:
    """`KEY=VALUE …`: settings that win over those of a file or a recipe."""
    return click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")


def with_out(settings: Sequence[str], out: Path | None) -> list[str]:
    """The KEY=VALUE arguments and `--out`, where it stands for the setting `out`."""
    return [*settings] if out is None else [*settings, f"out={json.dumps(str(out))}"]


def json_option(help_text: str = "Also write the figures to this JSON file.") -> Callable[[F], F]:
    """`--json`: the figures as a file."""
    return click.option("--json", "json_path", type=PATH, metavar="FILE", callback=_no_folder, help=help_text)


def _no_folder(_: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a folder, before figures are computed that could not be written."""
    from dextr_vos.errors import InputError

    if path is not None and path.is_dir():
        raise InputError(f"{path} is a folder; give a FILE.json")
    return path


def click_times_option() -> Callable[[F], F]:
    """`--click-times`: measured seconds of annotation."""
    return click.option(
        "--click-times",
        type=PATH,
        multiple=True,
        metavar="PATH",
        help="Take the seconds of clicking from this annotations.json, or all in a folder; repeatable.",
    )


def given_options() -> set[str]:
    """Names of the parameters that were set on the command line or in the environment."""
    context = click.get_current_context()
    assert context is not None
    default = (ParameterSource.DEFAULT, None)
    return {name for name in context.params if context.get_parameter_source(name) not in default}


def comma_list(text: str) -> list[str]:
    """The items of a comma-separated list, each once."""
    return list(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
