"""Label Studio's ML backend protocol: health, setup, predict; a smart tool's click is answered with a mask.

https://labelstud.io/guide/ml_create describes it. Its own SDK is on no package index in a version that runs
beside this package's dependencies, and the protocol is small.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.middleware.base import RequestResponseEndpoint

from dextr_vos import __version__
from dextr_vos.annotation.prompts import check_prompt
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.errors import InputError
from dextr_vos.export.formats.label_studio import brush_region
from dextr_vos.integrations.label_studio.labeling import Labeling, Region, check_regions, prompt_of
from dextr_vos.integrations.label_studio.task_images import LabelStudioHost, TaskImages
from dextr_vos.web.auth import host_is_known
from dextr_vos.web.page_routes import add_errors
from dextr_vos.web.serve import listen

log = logging.getLogger(__name__)

DEFAULT_PORT = 9090  # of Label Studio's own backends


class _Setup(BaseModel):
    """A project that connects."""

    hostname: str | None = None
    access_token: str | None = None


class _Context(BaseModel):
    """What a person has drawn with smart tools."""

    result: list[Region] = []


class _Params(BaseModel):
    context: _Context | None = None


class _Task(BaseModel):
    data: dict[str, Any] = {}


class _Predict(BaseModel):
    """Tasks to make masks for."""

    tasks: list[_Task] = Field(max_length=10_000)
    label_config: str = ""
    params: _Params = _Params()


class Backend:
    """Masks for the regions of smart tools.

    Args:
        segmenter: makes the masks.
        images: reads the images of tasks.
    """

    def __init__(self, segmenter: Segmenter, images: TaskImages) -> None:
        self._segmenter, self._images = segmenter, images
        self._lock = threading.Lock()
        self.version = f"dextr-vos-{segmenter.name}-{__version__}"

    def setup(self, hostname: str | None, token: str | None) -> dict[str, Any]:
        """Answer a project that connects."""
        self._images.offer_host(LabelStudioHost.of_setup(hostname, token))
        return {"model_version": self.version}

    def predict(self, data: dict[str, Any], configuration: str, regions: list[Region]) -> dict[str, Any]:
        """The mask of one object as a prediction of Label Studio; without a result where there is none yet.

        Args:
            data: of the task.
            configuration: the project's labeling configuration.
            regions: what a person drew with smart tools.

        Raises:
            InputError: no mask can be made of that.
        """
        check_regions(regions)
        labeling = Labeling.parse(configuration)
        source = data.get(labeling.key)
        if not isinstance(source, str):
            raise InputError(f"the task has no address of an image in its data '{labeling.key}'")
        label, image_rgb = labeling.label_of(regions), self._images.read(source)
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        prompt = prompt_of(regions, size_hw)
        answer: dict[str, Any] = {"model_version": self.version, "score": 0.0, "result": []}
        if prompt is None:
            return answer
        check_prompt(prompt, size_hw, "the regions")
        with self._lock:
            (prob,) = self._segmenter.prompted(image_rgb, [prompt])
        mask = prob > self._segmenter.threshold
        if mask.any():
            score = float(prob[mask].mean())
            region = brush_region(mask, label, labeling.brush, labeling.image)
            answer |= {"score": score, "result": [{**region, "id": uuid4().hex[:10], "score": score}]}
        return answer


def backend_app(backend: Backend, host: str = "127.0.0.1") -> FastAPI:
    """The application that answers Label Studio.

    Args:
        backend: what answers.
        host: address that it listens on.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_errors(app, logging.WARNING)

    @app.middleware("http")
    async def keep_pages_out(request: Request, handle: RequestResponseEndpoint) -> Response:
        refusal = _refusal(request, host)
        if refusal is None:
            return await handle(request)
        log.warning("%s: %s", request.url.path, refusal)
        return JSONResponse({"error": refusal}, 403)

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "dextr-vos", "version": backend.version}

    @app.post("/setup")
    def setup(asked: _Setup) -> dict[str, Any]:
        return backend.setup(asked.hostname, asked.access_token)

    @app.post("/predict")
    def predict(asked: _Predict) -> dict[str, Any]:
        regions = asked.params.context.result if asked.params.context else []
        if not regions:  # there is nothing to start from
            return {"results": []}
        return {"results": [backend.predict(task.data, asked.label_config, regions) for task in asked.tasks]}

    @app.post("/webhook")
    def webhook() -> dict[str, str]:
        return {"status": "nothing is trained here"}

    return app


def _refusal(request: Request, host: str) -> str | None:
    """Why a request is refused; None where it is not that of a web page."""
    if "origin" in request.headers:  # browsers alone send it, Label Studio's server does not
        return "this backend answers Label Studio's server, no web page"
    asked = request.headers.get("host", "")
    # with every address it has names that it does not know, such as those of containers
    if host in ("0.0.0.0", "::") or host_is_known(asked, host):
        return None
    return (
        f"this backend does not answer to the host {asked!r:.100}; give Label Studio the printed address, or "
        "start dextr-vos label-studio with --host 0.0.0.0"
    )


def serve_backend(
    backend: Backend, host: str, port: int, on_address: Callable[[str], None] = lambda address: None
) -> None:
    """Serve a backend until Ctrl-C or SIGTERM.

    Args:
        backend: what answers.
        host: address to listen on.
        port: to listen on.
        on_address: called with the backend's address, which Label Studio asks for.

    Raises:
        InputError: the port is taken, or this machine does not have the address.
    """
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    on_address(f"http://{shown}:{listening.getsockname()[1]}")
    config = uvicorn.Config(
        backend_app(backend, host),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        log.debug("ended by Ctrl-C")
    finally:
        listening.close()
