"""`dextr-vos train-parent`: train the network that fine-tuning on a clip starts from."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import (
    config_option,
    out_option,
    settings_argument,
    training_device_option,
    with_out,
)
from dextr_vos.cli.train_dextr import print_result


@click.command(short_help="Train the network that fine-tuning starts from.")
@config_option("Settings of the training, see configs/.")
@out_option("Folder of the training, in place of out in FILE.", required=False)
@training_device_option()
@settings_argument()
def command(config: Path, out: Path | None, device: str, settings: tuple[str, ...]) -> None:
    """Train a parent network with the settings of FILE, changed by KEY=VALUE.

    After Ctrl-C, or when the process was killed, the same command resumes from the last checkpoint. Several
    GPUs: torchrun --nproc-per-node 4 -m dextr_vos train-parent …
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.config import load_settings
    from dextr_vos.interrupt import interruptible
    from dextr_vos.runtime import pick_device
    from dextr_vos.training.parent import ParentSettings, train_parent

    loaded = load_settings(ParentSettings, config, with_out(settings, out))
    chosen = None if device == "auto" else pick_device(device)
    with interruptible() as stop_asked, progress_bars() as bar:
        result = train_parent(loaded, config.parent, chosen, bar("training"), stop_asked)
    print_result(loaded.out, result, loaded.start, loaded.alpha)
