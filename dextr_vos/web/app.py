"""The routes of the server: what the page and scripts ask for. Their texts are the OpenAPI document's.

An edit is answered with what it changed, not with the whole state, see `service.changed_by`.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dextr_vos.annotation.label_set import LabelSet
from dextr_vos.errors import InputError
from dextr_vos.masks import MAX_OBJECTS
from dextr_vos.web import schemas
from dextr_vos.web.auth import Auth
from dextr_vos.web.click_previews import ClickPreviews
from dextr_vos.web.exports import export_formats
from dextr_vos.web.images import THUMB_HEIGHT
from dextr_vos.web.mask_edits import MergeObjects, PaintStroke, PutMask, ReshapeMask, SplitObject, SwapObjects
from dextr_vos.web.object_edits import AddObject, ChangeObject, DeleteObject, OrderObjects
from dextr_vos.web.openapi import BINARY_BODY, AnyFile, EventStream, Jpeg, Png, described_app
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.page_routes import add_errors, add_page
from dextr_vos.web.service import Service, changed_by

STATIC = Path(__file__).parent / "static"
Index = Annotated[int, InPath(ge=0)]
ObjectId = Annotated[int, InPath(ge=1, le=MAX_OBJECTS)]

_NO_STORE = {"cache-control": "no-store"}


def make_app(service: Service, token: str, host: str = "127.0.0.1", static: Path = STATIC) -> FastAPI:
    """The server's application.

    Args:
        service: what is worked on.
        token: gives access to it.
        host: that the server listens on.
        static: folder of the page's files.
    """
    files = PageFiles(static)
    app = described_app()
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
    app = described_app()
    add_errors(app)
    _add_routes(app, service)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return files.response(request, "index.html")

    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    _add_state(app, service)
    _add_images(app, service)
    _add_masks(app, service)
    _add_mask_edits(app, service)
    _add_whole_mask_edits(app, service)
    _add_history(app, service)
    _add_frame_edits(app, service)
    _add_object_edits(app, service)
    _add_jobs(app, service)
    _add_files(app, service)


def _add_state(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.get("/api/state", response_class=JSONResponse)
    def state() -> Response:
        """Everything that the page shows except images, masks and names of frames; see docs/http-api.md."""
        session.refresh()
        return JSONResponse(service.state(), headers=_NO_STORE)

    @app.get("/api/names", response_class=JSONResponse)
    def names() -> Response:
        """The names of all frames, in order."""
        return JSONResponse(list(session.images.names), headers=_NO_STORE)

    @app.get("/api/events", response_class=EventStream)
    async def events() -> Response:
        """Server-sent events: `state` after a change, `job` while one runs, `frame` for each new mask."""
        stream = session.events.stream(lambda: session.version)
        headers = {**_NO_STORE, "x-accel-buffering": "no"}
        return EventStream(stream, headers=headers)

    @app.get("/api/time")
    def time_spent() -> dict[str, Any]:
        """The seconds that people have spent on each object of each frame."""
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
        return Jpeg(make(index), headers=headers)

    @app.get("/api/frames/{index}", response_class=Jpeg)
    def frame(request: Request, index: Index) -> Response:
        """A frame as JPEG."""
        return image_response(request, index, images.jpeg)

    @app.get("/api/thumbs/{index}", response_class=Jpeg)
    def thumb(request: Request, index: Index) -> Response:
        """A small frame as JPEG."""
        return image_response(request, index, images.thumb, f" {THUMB_HEIGHT}")


def _add_masks(app: FastAPI, service: Service) -> None:
    session, previews = service.session, ClickPreviews(service.session)

    def mask_response(found: tuple[str, bytes] | None) -> Response:
        if found is None:
            return Response(status_code=204, headers=_NO_STORE)
        source, png = found
        return Png(png, headers={**_NO_STORE, "x-mask-source": source})

    @app.get("/api/masks/{index}", response_class=Png)
    def mask(index: Index) -> Response:
        """A frame's mask: object ids as grey levels; `x-mask-source` says what it is from. 204: none."""
        _check(service, index)
        return mask_response(session.masks.png(session.document, index))

    @app.get("/api/masks/{index}/replaced", response_class=Png)
    def replaced(index: Index) -> Response:
        """A frame's mask before the last run. 204: it has none."""
        _check(service, index)
        png = session.masks.replaced_png(session.document, index)
        return mask_response(None if png is None else ("replaced", png))

    @app.get("/api/frames/{index}/preview", response_class=Png)
    def preview(index: Index, click: Annotated[schemas.PreviewedClick, Query()]) -> Response:
        """The mask that an object, or a new one, would have after a click; nothing changes. 204: none."""
        _check(service, index)
        return mask_response(previews.png(index, click.object, click.x, click.y, click.kind))

    @app.get("/api/thumbs/{index}/mask", response_class=Png)
    def thumb_mask(index: Index) -> Response:
        """A small mask. 204: the frame has none."""
        _check(service, index)
        png = session.masks.thumb_png(session.document, index)
        return mask_response(None if png is None else ("thumb", png))

    @app.get("/api/frames/{index}/objects/{object_id}/mask", response_class=Png)
    def object_mask(index: Index, object_id: ObjectId) -> Response:
        """The mask of one object, 255 on it, the parts behind other objects included. 204: none."""
        _check(service, index)
        return mask_response(session.masks.object_png(session.document, index, object_id))


def _edited(service: Service, index: int, act: Callable[[], object]) -> dict[str, Any]:
    """Edit; the changes that the page needs, with the mask of a frame."""
    _, changes = changed_by(service, act)
    return {**changes, "mask": _mask(service, index)}


def _add_mask_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/frames/{index}/objects/{object_id}/points")
    def points(index: Index, object_id: ObjectId, body: schemas.Points) -> dict[str, Any]:
        """Set all points of an object in a frame, and make its mask."""
        ms = body.bounded_ms()
        return _edited(service, index, lambda: session.set_points(index, object_id, body.rounded(), ms))

    @app.post("/api/frames/{index}/objects/{object_id}/stroke")
    def stroke(index: Index, object_id: ObjectId, body: schemas.Stroke) -> dict[str, Any]:
        """Paint or erase with the brush; `filled` fills the outline."""
        _check(service, index)
        name = session.images.names[index]
        edit = PaintStroke(index, name, object_id, body.path, body.radius, body.erase, body.filled)
        ms, outline = body.bounded_ms(), (body.outline, body.moved)
        return _edited(service, index, lambda: session.make(edit, object_id, ms, *outline))

    @app.post("/api/frames/{index}/objects/{object_id}/clear")
    def clear(index: Index, object_id: ObjectId, body: schemas.Clear | None = None) -> dict[str, Any]:
        """Remove an object from a frame."""
        ms = 0.0 if body is None else body.bounded_ms()
        return _edited(service, index, lambda: session.clear(index, object_id, ms))


def _add_whole_mask_edits(app: FastAPI, service: Service) -> None:
    session, names = service.session, service.session.images.names

    @app.post("/api/frames/{index}/objects/{object_id}/reshape")
    def reshape(index: Index, object_id: ObjectId, body: schemas.Reshape) -> dict[str, Any]:
        """Change an object's mask as a whole."""
        _check(service, index)
        edit = ReshapeMask(index, names[index], object_id, body.operation, body.pixels)
        return _edited(service, index, lambda: session.make(edit, object_id, body.bounded_ms()))

    @app.post("/api/frames/{index}/objects/{object_id}/copy")
    def copy(index: Index, object_id: ObjectId, body: schemas.Copy) -> dict[str, Any]:
        """Copy an object's mask to another frame."""
        _check(service, index)
        _check(service, body.to)
        mask = session.masks.of_object(session.document, index, object_id)
        edit = PutMask(body.to, names[body.to], object_id, mask, names[index])
        ms = body.bounded_ms()
        return {**_edited(service, body.to, lambda: session.make(edit, object_id, ms)), "index": body.to}

    @app.post("/api/frames/{index}/objects/{object_id}/swap")
    def swap(index: Index, object_id: ObjectId, body: schemas.OtherObject) -> dict[str, Any]:
        """Swap two objects from this frame on."""
        _check(service, index)
        edit = SwapObjects(index, tuple(names[index:]), (object_id, body.other))
        return _edited(service, index, lambda: session.make(edit, object_id, body.bounded_ms()))

    @app.post("/api/frames/{index}/objects/{object_id}/merge")
    def merge(index: Index, object_id: ObjectId, body: schemas.Merge) -> dict[str, Any]:
        """Give an object the mask of another one in this frame, or from this frame on."""
        _check(service, index)
        merged_in = tuple(names[index:]) if body.onwards else (names[index],)
        edit = MergeObjects(index, merged_in, object_id, body.other)
        return _edited(service, index, lambda: session.make(edit, object_id, body.bounded_ms()))

    @app.post("/api/frames/{index}/objects/{object_id}/split")
    def split(index: Index, object_id: ObjectId, body: schemas.Split) -> dict[str, Any]:
        """Make a new object of what is inside an outline; the answer has its `id`."""
        _check(service, index)
        edit = SplitObject(index, names[index], object_id, body.outline)
        ms = body.bounded_ms()
        made, changes = changed_by(service, lambda: session.make(edit, object_id, ms))
        return {**changes, "mask": _mask(service, index), "id": made.object_id}


def _add_history(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/undo")
    def undo(body: schemas.Empty | None = None) -> dict[str, Any]:
        """Take the last change back."""
        index, changes = changed_by(service, session.undo)
        return {**changes, "index": index, "mask": _mask(service, index)}

    @app.post("/api/redo")
    def redo(body: schemas.Empty | None = None) -> dict[str, Any]:
        """Redo the change undone last."""
        index, changes = changed_by(service, session.redo)
        return {**changes, "index": index, "mask": _mask(service, index)}


def _add_frame_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/frames/{index}/keyframe")
    def keyframe(index: Index, body: schemas.KeyframeOrNot) -> dict[str, Any]:
        """Make a frame a keyframe, or an ordinary frame again."""
        return changed_by(service, lambda: session.set_keyframe(index, body.keyframe))[1]

    @app.post("/api/frames/{index}/lock")
    def lock(index: Index, body: schemas.Lock) -> dict[str, Any]:
        """Protect a frame from edits, or allow them again."""
        return changed_by(service, lambda: session.set_locked(index, body.locked))[1]

    @app.post("/api/frames/{index}/status")
    def status(index: Index, body: schemas.Status) -> dict[str, Any]:
        """Set the progress of an image; only of separate images."""
        _check(service, index)
        return changed_by(service, lambda: service.set_status(index, body.status))[1]

    @app.post("/api/reset")
    def reset(body: schemas.Reset) -> dict[str, Any]:
        """Forget all progress; only of separate images."""
        if not body.confirm:
            raise InputError('a reset forgets all progress; send {"confirm": true} to confirm it')
        return changed_by(service, service.reset)[1]


def _add_object_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/objects")
    def new(body: schemas.NewObject) -> dict[str, Any]:
        """Add an object; the answer has its `id`."""
        colour = body.colour and body.colour.lower()
        made, changes = changed_by(service, lambda: session.make(AddObject(body.name, colour)))
        return {**changes, "id": made.object_id}

    @app.post("/api/labels")
    def labels(body: LabelSet) -> dict[str, Any]:
        """Replace the label set."""
        return changed_by(service, lambda: session.set_labels(body))[1]

    @app.post("/api/objects/order")
    def order(body: schemas.Order) -> dict[str, Any]:
        """Put all objects into a new order, the last one on top."""
        return changed_by(service, lambda: session.make(OrderObjects(body.ids)))[1]

    @app.post("/api/objects/{object_id}")
    def change(object_id: ObjectId, body: schemas.ChangedObject) -> dict[str, Any]:
        """Change name, colour or visibility of an object."""
        return changed_by(service, lambda: session.make(ChangeObject(object_id, body.changes())))[1]

    @app.post("/api/objects/{object_id}/delete")
    def delete(object_id: ObjectId, body: schemas.Empty | None = None) -> dict[str, Any]:
        """Delete an object from all frames."""
        return changed_by(service, lambda: session.make(DeleteObject(object_id)))[1]


def _add_jobs(app: FastAPI, service: Service) -> None:
    @app.post("/api/propagate")
    def propagate(body: schemas.Propagate | None = None) -> dict[str, Any]:
        """Start to make the masks of all frames; drafts become keyframes first."""
        confirmed = service.propagate(body or schemas.Propagate())
        return {"job": service.state()["job"], "confirmed": confirmed}

    @app.post("/api/cancel")
    def cancel(body: schemas.Empty | None = None) -> dict[str, Any]:
        """Stop the job; what it has finished is kept."""
        service.cancel()
        return {"job": service.state()["job"]}

    @app.post("/api/export")
    def export(body: schemas.Export) -> dict[str, Any]:
        """Start an export; its file is among the `exports` of the state when the job has ended."""
        service.export(body)
        return {"job": service.state()["job"]}


def _add_files(app: FastAPI, service: Service) -> None:
    @app.get("/api/formats")
    def formats() -> list[dict[str, Any]]:
        """The formats of exports and imports, and what each can be told."""
        return export_formats()

    @app.get("/api/exports/{name}", response_class=AnyFile)
    def exported(name: str) -> Response:
        """The file of an export."""
        path = service.exported(name)
        return AnyFile(path, filename=path.name, headers=_NO_STORE)

    @app.post("/api/uploads/{upload}", openapi_extra=BINARY_BODY)
    async def upload(
        request: Request, upload: schemas.UploadId, path: str, offset: Annotated[int, Query(ge=0)]
    ) -> dict[str, Any]:
        """Append a piece of a file to an upload, at an offset in bytes."""
        await run_in_threadpool(service.upload, upload, path, await request.body(), offset)
        return {}

    @app.post("/api/import")
    def import_masks(body: schemas.Import) -> schemas.ImportAnswer:
        """Make keyframes of an upload; the answer has `warnings`."""
        warnings, changes = changed_by(service, lambda: service.import_masks(body))
        return schemas.ImportAnswer(**changes, warnings=list(warnings))


def _check(service: Service, index: int) -> None:
    count = len(service.session.images.names)
    if index >= count:
        raise InputError(f"there is no frame {index}; expected 0 to {count - 1}")


def _mask(service: Service, index: int | None) -> str | None:
    """The PNG of a frame's labels in base64, or None."""
    session = service.session
    found = None if index is None else session.masks.png(session.document, index)
    return None if found is None else base64.b64encode(found[1]).decode()
