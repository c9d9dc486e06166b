"""The routes of the server: what the page asks for, and one sentence for whatever is wrong.

An edit is answered with what it changed, not with the whole state, see `service.changed_by`.
"""

import base64
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dextr_vos.annotation.label_set import LabelSet
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.masks import MAX_OBJECTS
from dextr_vos.web import schemas
from dextr_vos.web.auth import Auth, cookie_name, has_cookie, tokens_equal
from dextr_vos.web.exports import export_formats
from dextr_vos.web.images import THUMB_HEIGHT
from dextr_vos.web.jobs import ConflictError
from dextr_vos.web.mask_edits import PutMask, ReshapeMask, SplitObject, SwapObjects
from dextr_vos.web.object_edits import AddObject, ChangeObject, DeleteObject, OrderObjects
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.service import Service, changed_by
from dextr_vos.web.write_access import ReadOnlyError

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
Index = Annotated[int, InPath(ge=0)]
ObjectId = Annotated[int, InPath(ge=1, le=MAX_OBJECTS)]

_NO_STORE = {"cache-control": "no-store"}
_WITHOUT_TOKEN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>dextr-vos</title>'
    "<p>Please open the address that dextr-vos annotate printed: it contains this page's token.</p></html>"
)


def make_app(service: Service, token: str, host: str = "127.0.0.1", static: Path = STATIC) -> FastAPI:
    """The server's application.

    Args:
        service: what is worked on.
        token: gives access to it.
        host: that the server listens on.
        static: folder of the page's files.
    """
    files = PageFiles(static)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Auth, token=token, host=host)
    add_errors(app)
    add_page(app, token, files, "index.html")
    _add_routes(app, service)
    return app


class ServiceSite:
    """The page of one service; see `serve.Site`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.start, self.end_streams = service.session.loader.start, service.session.events.close
        self.poll, self.close = service.poll, service.close

    def app(self, token: str, host: str) -> FastAPI:
        """See `serve.Site`."""
        return make_app(self._service, token, host)


def clip_app(service: Service, files: PageFiles) -> FastAPI:
    """The application of one clip of a project, which guards it and serves the page's files."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_errors(app)
    _add_routes(app, service)

    @app.get("/")
    async def page(request: Request) -> Response:
        return files.response(request, "index.html")

    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    _add_state(app, service)
    _add_images(app, service)
    _add_masks(app, service)
    _add_mask_edits(app, service)
    _add_frame_edits(app, service)
    _add_object_edits(app, service)
    _add_jobs(app, service)
    _add_files(app, service)


def add_errors(app: FastAPI) -> None:
    """Answer whatever goes wrong with one sentence."""

    def with_message(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: JSONResponse({"error": str(error)}, status)

    app.add_exception_handler(DextrVosError, with_message(400))
    app.add_exception_handler(ReadOnlyError, with_message(409))
    app.add_exception_handler(ConflictError, with_message(409))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return JSONResponse({"error": f"{where}: {first['msg']}"}, 400)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        messages = {404: "there is nothing at this address", 405: "this address does not accept this method"}
        return JSONResponse({"error": messages.get(error.status_code, error.detail)}, error.status_code)

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        message = f"cannot read or write a file of the workspace: {error.strerror or error}"
        return JSONResponse({"error": message}, 500)


def add_page(app: FastAPI, token: str, files: PageFiles, index: str) -> None:
    """The routes of the page's files.

    Args:
        app: gets the routes.
        token: the address with it sets the cookie without which nothing else is given.
        files: of the page.
        index: which of them is at "/".
    """

    @app.get("/")
    async def page(request: Request) -> Response:
        name = cookie_name(request.scope)
        given = request.query_params.get("token")
        if given is not None and tokens_equal(given, token):
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(name, token, httponly=True, samesite="strict", path="/")
            return response
        if not has_cookie(request.headers.get("cookie", ""), name, token):
            return HTMLResponse(_WITHOUT_TOKEN, 403)
        return files.response(request, index)

    @app.get("/static/{name:path}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files.response(request, name)


def _add_state(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.get("/api/state")
    def state() -> Response:
        session.refresh()
        return JSONResponse(service.state(), headers=_NO_STORE)

    @app.get("/api/names")
    def names() -> Response:
        return JSONResponse(list(session.images.names), headers=_NO_STORE)

    @app.get("/api/events")
    async def events() -> Response:
        stream = session.events.stream(lambda: session.version)
        headers = {**_NO_STORE, "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @app.get("/api/time")
    def time_spent() -> dict[str, Any]:
        return schemas.time_summary(session.document, session.images.index_of)


def _add_images(app: FastAPI, service: Service) -> None:
    images = service.session.images

    def image_response(request: Request, index: int, make: Callable[[int], bytes], how: str = "") -> Response:
        _check(service, index)
        # names of files hold characters that a header does not
        tag = f'"{hashlib.sha256((images.tag(index) + how).encode()).hexdigest()[:20]}"'
        headers = {"cache-control": "private, no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(make(index), media_type="image/jpeg", headers=headers)

    @app.get("/api/frames/{index}")
    def frame(request: Request, index: Index) -> Response:
        return image_response(request, index, images.jpeg)

    @app.get("/api/thumbs/{index}")
    def thumb(request: Request, index: Index) -> Response:
        return image_response(request, index, images.thumb, f" {THUMB_HEIGHT}")


def _add_masks(app: FastAPI, service: Service) -> None:
    session = service.session

    def mask_response(found: tuple[str, bytes] | None) -> Response:
        if found is None:
            return Response(status_code=204, headers=_NO_STORE)
        source, png = found
        return Response(png, media_type="image/png", headers={**_NO_STORE, "x-mask-source": source})

    @app.get("/api/masks/{index}")
    def mask(index: Index) -> Response:
        _check(service, index)
        return mask_response(session.masks.png(session.document, index))

    @app.get("/api/masks/{index}/replaced")
    def replaced(index: Index) -> Response:
        _check(service, index)
        png = session.masks.replaced_png(session.document, index)
        return mask_response(None if png is None else ("replaced", png))

    @app.get("/api/thumbs/{index}/mask")
    def thumb_mask(index: Index) -> Response:
        _check(service, index)
        png = session.masks.thumb_png(session.document, index)
        return mask_response(None if png is None else ("thumb", png))

    @app.get("/api/frames/{index}/objects/{object_id}/mask")
    def object_mask(index: Index, object_id: ObjectId) -> Response:
        _check(service, index)
        return mask_response(session.masks.object_png(session.document, index, object_id))


def _add_mask_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    names = session.images.names

    def edited(index: int, act: Callable[[], object]) -> dict[str, Any]:
        _, changes = changed_by(service, act)
        return {**changes, "mask": _mask(service, index)}

    @app.post("/api/frames/{index}/objects/{object_id}/points")
    def points(index: Index, object_id: ObjectId, body: schemas.Points) -> dict[str, Any]:
        ms = body.bounded_ms()
        return edited(index, lambda: session.set_points(index, object_id, body.rounded(), ms))

    @app.post("/api/frames/{index}/objects/{object_id}/stroke")
    def stroke(index: Index, object_id: ObjectId, body: schemas.Stroke) -> dict[str, Any]:
        brush, ms = (body.path, body.radius, body.erase), body.bounded_ms()
        return edited(index, lambda: session.stroke(index, object_id, *brush, ms, body.filled))

    @app.post("/api/frames/{index}/objects/{object_id}/reshape")
    def reshape(index: Index, object_id: ObjectId, body: schemas.Reshape) -> dict[str, Any]:
        _check(service, index)
        edit = ReshapeMask(index, names[index], object_id, body.operation, body.pixels)
        return edited(index, lambda: session.make(edit))

    @app.post("/api/frames/{index}/objects/{object_id}/copy")
    def copy(index: Index, object_id: ObjectId, body: schemas.Copy) -> dict[str, Any]:
        _check(service, index)
        _check(service, body.to)
        mask = session.shown_mask(index, object_id)
        edit = PutMask(body.to, names[body.to], object_id, mask, names[index])
        return {**edited(body.to, lambda: session.make(edit)), "index": body.to}

    @app.post("/api/frames/{index}/objects/{object_id}/swap")
    def swap(index: Index, object_id: ObjectId, body: schemas.OtherObject) -> dict[str, Any]:
        _check(service, index)
        edit = SwapObjects(index, tuple(names[index:]), (object_id, body.other))
        return edited(index, lambda: session.make(edit))

    @app.post("/api/frames/{index}/objects/{object_id}/split")
    def split(index: Index, object_id: ObjectId, body: schemas.Split) -> dict[str, Any]:
        _check(service, index)
        edit = SplitObject(index, names[index], object_id, body.outline)
        new_id, changes = changed_by(service, lambda: session.make(edit))
        return {**changes, "mask": _mask(service, index), "id": new_id}

    @app.post("/api/frames/{index}/objects/{object_id}/clear")
    def clear(index: Index, object_id: ObjectId, body: schemas.Clear | None = None) -> dict[str, Any]:
        ms = 0.0 if body is None else body.bounded_ms()
        return edited(index, lambda: session.clear(index, object_id, ms))

    @app.post("/api/undo")
    def undo(body: schemas.Empty | None = None) -> dict[str, Any]:
        index, changes = changed_by(service, session.undo)
        return {**changes, "index": index, "mask": _mask(service, index)}

    @app.post("/api/redo")
    def redo(body: schemas.Empty | None = None) -> dict[str, Any]:
        index, changes = changed_by(service, session.redo)
        return {**changes, "index": index, "mask": _mask(service, index)}


def _add_frame_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/frames/{index}/keyframe")
    def keyframe(index: Index, body: schemas.KeyframeOrNot) -> dict[str, Any]:
        return changed_by(service, lambda: session.set_keyframe(index, body.keyframe))[1]

    @app.post("/api/frames/{index}/lock")
    def lock(index: Index, body: schemas.Lock) -> dict[str, Any]:
        return changed_by(service, lambda: session.set_locked(index, body.locked))[1]

    @app.post("/api/frames/{index}/status")
    def status(index: Index, body: schemas.Status) -> dict[str, Any]:
        _check(service, index)
        return changed_by(service, lambda: service.set_status(index, body.status))[1]

    @app.post("/api/reset")
    def reset(body: schemas.Reset) -> dict[str, Any]:
        if not body.confirm:
            raise InputError('a reset forgets all progress; send {"confirm": true} to confirm it')
        return changed_by(service, service.reset)[1]


def _add_object_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/objects")
    def new(body: schemas.NewObject) -> dict[str, Any]:
        colour = body.colour and body.colour.lower()
        object_id, changes = changed_by(service, lambda: session.make(AddObject(body.name, colour)))
        return {**changes, "id": object_id}

    @app.post("/api/labels")
    def labels(body: LabelSet) -> dict[str, Any]:
        return changed_by(service, lambda: session.set_labels(body))[1]

    @app.post("/api/objects/order")
    def order(body: schemas.Order) -> dict[str, Any]:
        return changed_by(service, lambda: session.make(OrderObjects(body.ids)))[1]

    @app.post("/api/objects/{object_id}")
    def change(object_id: ObjectId, body: schemas.ChangedObject) -> dict[str, Any]:
        return changed_by(service, lambda: session.make(ChangeObject(object_id, body.changes())))[1]

    @app.post("/api/objects/{object_id}/delete")
    def delete(object_id: ObjectId, body: schemas.Empty | None = None) -> dict[str, Any]:
        return changed_by(service, lambda: session.make(DeleteObject(object_id)))[1]


def _add_jobs(app: FastAPI, service: Service) -> None:
    @app.post("/api/propagate")
    def propagate(body: schemas.Propagate | None = None) -> dict[str, Any]:
        confirmed = service.propagate(body or schemas.Propagate())
        return {"job": service.state()["job"], "confirmed": confirmed}

    @app.post("/api/cancel")
    def cancel(body: schemas.Empty | None = None) -> dict[str, Any]:
        service.cancel()
        return {"job": service.state()["job"]}

    @app.post("/api/export")
    def export(body: schemas.Export) -> dict[str, Any]:
        service.export(body)
        return {"job": service.state()["job"]}


def _add_files(app: FastAPI, service: Service) -> None:
    @app.get("/api/formats")
    def formats() -> list[dict[str, Any]]:
        return export_formats()

    @app.get("/api/exports/{name}")
    def exported(name: str) -> Response:
        path = service.exported(name)
        return FileResponse(path, filename=path.name, headers=_NO_STORE)

    @app.post("/api/uploads/{upload}")
    async def upload(
        request: Request, upload: schemas.UploadId, path: str, offset: Annotated[int, Query(ge=0)]
    ) -> dict[str, Any]:
        await run_in_threadpool(service.upload, upload, path, await request.body(), offset)
        return {}

    @app.post("/api/import")
    def import_masks(body: schemas.Import) -> dict[str, Any]:
        return changed_by(service, lambda: service.import_masks(body))[1]


def _check(service: Service, index: int) -> None:
    count = len(service.session.images.names)
    if index >= count:
        raise InputError(f"there is no frame {index}; expected 0 to {count - 1}")


def _mask(service: Service, index: int | None) -> str | None:
    """The PNG of a frame's labels in base64, or None."""
    session = service.session
    found = None if index is None else session.masks.png(session.document, index)
    return None if found is None else base64.b64encode(found[1]).decode()
