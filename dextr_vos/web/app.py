"""The page's own files, held in memory: opening the page asks for some fifty of them at once."""

import base64
import hashlib
import logging
import mimetypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.web import schemas as schemas
from dextr_vos.web.auth import COOKIE, Auth, cookie_with, has_cookie, same
from dextr_vos.web.service import ConflictError, Service
from dextr_vos.web.session import ReadOnlyError
from dextr_vos.web.state import time_summary

_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css", ".html": "text/html"}


class PageFiles:
    """All files of a folder as they are now.

    Args:
        folder: of the page.
    """

    def __init__(self, folder: Path) -> None:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        self._tags = {
            name: f'"{hashlib.sha256(held).hexdigest()[:20]}"' for name, held in self._files.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def answer(self, request: Request, name: str) -> Response:
        """A file, or that the browser's own is as good. KeyError where there is none of this name."""
        headers = {"cache-control": "no-cache", "etag": self._tags[name]}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(self._files[name], media_type=kind, headers=headers)


log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
Index = Annotated[int, InPath(ge=0)]
Number = Annotated[int, InPath(ge=1, le=254)]

_LOCKED_OUT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>dextr-vos</title>'
    "<p>Please open the address that dextr-vos annotate printed: it holds the token of this page.</p></html>"
)


def make_app(service: Service, token: str, host: str = "127.0.0.1", static: Path = STATIC) -> FastAPI:
    """The server's application.

    Args:
        service: what is worked on.
        token: that opens it.
        host: that it will listen on.
        static: folder of the page's files.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Auth, token=token, host=host)
    _add_errors(app)
    _add_page(app, token, static)
    _add_looking(app, service)
    _add_masks(app, service)
    _add_frame_edits(app, service)
    _add_object_edits(app, service)
    _add_work(app, service)
    return app


def _add_errors(app: FastAPI) -> None:
    def told(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, fault: JSONResponse({"error": str(fault)}, status)

    app.add_exception_handler(DextrVosError, told(400))
    app.add_exception_handler(ReadOnlyError, told(409))
    app.add_exception_handler(ConflictError, told(409))

    @app.exception_handler(RequestValidationError)
    def broken(request: Request, fault: RequestValidationError) -> Response:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 400)

    @app.exception_handler(HTTPException)
    def other(request: Request, fault: HTTPException) -> Response:
        sentences = {404: "there is nothing at this address", 405: "this address is not asked in this way"}
        return JSONResponse({"error": sentences.get(fault.status_code, fault.detail)}, fault.status_code)

    @app.exception_handler(OSError)
    def disk(request: Request, fault: OSError) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=fault)
        sentence = f"cannot read or write a file of the workspace: {fault.strerror or fault}"
        return JSONResponse({"error": sentence}, 500)


def _add_page(app: FastAPI, token: str, static: Path) -> None:
    files = PageFiles(static)

    @app.get("/")
    async def page(request: Request) -> Response:
        cookies = request.headers.get("cookie", "")
        given = request.query_params.get("token")
        if given is not None and same(given, token):
            answer: Response = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, cookie_with(cookies, token), httponly=True, samesite="strict", path="/")
            return answer
        if not has_cookie(cookies, token):
            return HTMLResponse(_LOCKED_OUT, 403)
        return files.answer(request, "index.html")

    @app.get("/static/{name:path}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files.answer(request, name)


def _add_looking(app: FastAPI, service: Service) -> None:
    pictures = service.session.pictures

    @app.get("/api/state")
    def state() -> Response:
        service.session.refresh()
        return JSONResponse(service.state(), headers={"cache-control": "no-store"})

    @app.get("/api/events")
    async def events() -> Response:
        stream = service.session.events.stream(lambda: service.session.version)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @app.get("/api/time")
    def spent() -> dict[str, Any]:
        return time_summary(
            service.session.document, {name: index for index, name in enumerate(pictures.names)}
        )

    def picture(request: Request, index: int, make: Callable[[int], bytes]) -> Response:
        _check(service, index)
        tag = f'"{pictures.mark(index)}"'
        headers = {"cache-control": "private, no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(make(index), media_type="image/jpeg", headers=headers)

    @app.get("/api/frames/{index}")
    def frame(request: Request, index: Index) -> Response:
        return picture(request, index, pictures.jpeg)

    @app.get("/api/thumbs/{index}")
    def thumb(request: Request, index: Index) -> Response:
        return picture(request, index, pictures.thumb)


def _add_masks(app: FastAPI, service: Service) -> None:
    def answer(found: tuple[str, bytes] | None) -> Response:
        if found is None:
            return Response(status_code=204, headers={"cache-control": "no-store"})
        headers = {"cache-control": "no-store", "x-mask-source": found[0]}
        return Response(found[1], media_type="image/png", headers=headers)

    @app.get("/api/masks/{index}")
    def mask(index: Index) -> Response:
        _check(service, index)
        return answer(service.masks.frame(index))

    @app.get("/api/frames/{index}/objects/{number}/mask")
    def object_mask(index: Index, number: Number) -> Response:
        _check(service, index)
        return answer(service.masks.of_object(index, number))


def _add_frame_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    def done(index: int, began: float) -> dict[str, Any]:
        return {
            **_answer(service),
            "mask": _mask(service, index),
            "ms": round(1000 * (time.perf_counter() - began)),
        }

    @app.post("/api/frames/{index}/objects/{number}/points")
    def points(index: Index, number: Number, body: schemas.Points) -> dict[str, Any]:
        began = time.perf_counter()
        session.set_points(index, number, body.rounded(), body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/objects/{number}/stroke")
    def stroke(index: Index, number: Number, body: schemas.Stroke) -> dict[str, Any]:
        began = time.perf_counter()
        session.stroke(index, number, body.path, body.radius, body.erase, body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/objects/{number}/clear")
    def clear(index: Index, number: Number, body: schemas.Clear | None = None) -> dict[str, Any]:
        began = time.perf_counter()
        session.clear(index, number, 0.0 if body is None else body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/keyframe")
    def keyframe(index: Index, body: schemas.KeyframeOrNot) -> dict[str, Any]:
        session.set_keyframe(index, body.keyframe)
        return _answer(service)

    @app.post("/api/frames/{index}/lock")
    def lock(index: Index, body: schemas.Lock) -> dict[str, Any]:
        session.set_locked(index, body.locked)
        return _answer(service)

    @app.post("/api/frames/{index}/status")
    def status(index: Index, body: schemas.Status) -> dict[str, Any]:
        _check(service, index)
        service.set_status(index, body.status)
        return _answer(service)

    @app.post("/api/undo")
    def undo(body: schemas.Nothing | None = None) -> dict[str, Any]:
        index = session.undo()
        return {**_answer(service), "index": index, "mask": _mask(service, index)}

    @app.post("/api/redo")
    def redo(body: schemas.Nothing | None = None) -> dict[str, Any]:
        index = session.redo()
        return {**_answer(service), "index": index, "mask": _mask(service, index)}


def _add_object_edits(app: FastAPI, service: Service) -> None:
    session = service.session

    @app.post("/api/objects")
    def new(body: schemas.NewObject) -> dict[str, Any]:
        number = session.add_object(body.name, body.colour and body.colour.lower())
        return {**_answer(service), "id": number}

    @app.post("/api/objects/order")
    def order(body: schemas.Order) -> dict[str, Any]:
        session.order_objects(body.ids)
        return _answer(service)

    @app.post("/api/objects/{number}")
    def change(number: Number, body: schemas.ChangedObject) -> dict[str, Any]:
        session.change_object(number, body.changes())
        return _answer(service)

    @app.post("/api/objects/{number}/delete")
    def delete(number: Number, body: schemas.Nothing | None = None) -> dict[str, Any]:
        session.delete_object(number)
        return _answer(service)


def _add_work(app: FastAPI, service: Service) -> None:
    @app.post("/api/propagate")
    def propagate(body: schemas.Propagate | None = None) -> dict[str, Any]:
        service.propagate(None if body is None else body.budget)
        return _answer(service)

    @app.post("/api/cancel")
    def cancel(body: schemas.Nothing | None = None) -> dict[str, Any]:
        service.cancel()
        return _answer(service)

    @app.post("/api/export")
    def export(body: schemas.Export) -> dict[str, Any]:
        service.export(body.kind)
        return _answer(service)

    @app.get("/api/exports/{kind}")
    def exported(kind: str) -> Response:
        path = service.exported(kind)
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})

    @app.post("/api/reset")
    def reset(body: schemas.Reset) -> dict[str, Any]:
        if not body.confirm:
            raise InputError('resetting forgets all progress; send {"confirm": true} if that is meant')
        service.reset()
        return _answer(service)


def _check(service: Service, index: int) -> None:
    count = len(service.session.pictures.names)
    if index >= count:
        raise InputError(f"there is no frame {index}; expected 0 to {count - 1}")


def _answer(service: Service) -> dict[str, Any]:
    state = service.state()
    return {"version": state["version"], "state": state}


def _mask(service: Service, index: int | None) -> str | None:
    found = None if index is None else service.masks.frame(index)
    return None if found is None else base64.b64encode(found[1]).decode()
