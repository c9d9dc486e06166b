"""`dextr-vos label-studio`: masks for the smart tools of Label Studio."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH, click_model_options, device_option


@click.command(short_help="Serve masks to the smart tools of Label Studio.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="Port.")
@click.option(
    "--url",
    envvar="LABEL_STUDIO_URL",
    show_envvar=True,
    metavar="URL",
    help="Address of Label Studio; by default the one that it gives when a project connects.",
)
@click.option(
    "--local-files",
    type=PATH,
    envvar="LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
    show_envvar=True,
    metavar="DIR",
    help="Root folder of Label Studio's local files on this machine, to read them from disk.",
)
@click_model_options
@device_option()
def command(
    host: str,
    port: int,
    url: str | None,
    local_files: Path | None,
    model: str | None,
    weights: Path | None,
    device: str,
) -> None:
    """Answer the smart tools of Label Studio: a click, a rectangle or a stroke becomes a brush mask.

    Add the printed address as a model of a project, see docs/label-studio.md. Images are fetched from Label
    Studio with the token that it gives, or with --url and the access token in LABEL_STUDIO_API_KEY.
    """
    import os

    from dextr_vos.annotation.segmenter import load_segmenter
    from dextr_vos.errors import InputError
    from dextr_vos.integrations.label_studio.app import Backend, serve_backend
    from dextr_vos.integrations.label_studio.task_images import LabelStudioHost, TaskImages

    token = os.environ.get("LABEL_STUDIO_API_KEY") or None
    if url is not None and not url.startswith(("http://", "https://")):
        raise InputError(f"expected --url as http://HOST:PORT, got {url!r:.100}")
    if token is not None and url is None:
        raise InputError(
            "LABEL_STUDIO_API_KEY is set; give the --url of Label Studio, where alone it is sent"
        )
    if local_files is not None and not local_files.is_dir():
        raise InputError(f"there is no folder {local_files}; give the root folder of the local files")
    known = None if url is None else LabelStudioHost(url, token)
    backend = Backend(load_segmenter(model, weights, device), TaskImages(known, local_files))

    def on_address(address: str) -> None:
        click.echo("The address for Label Studio, Settings > Model > Connect Model; Ctrl-C ends it.")
        click.echo(address)

    serve_backend(backend, host, port, on_address)
