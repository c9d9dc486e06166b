"""The routes, and nothing else: what is asked for is handed to the desk, its answer is handed back."""

import base64
import logging
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
from dextr_vos.web import bodies
from dextr_vos.web.desk import ConflictError, Desk
from dextr_vos.web.guard import COOKIE, Guard, cookie_with, has_cookie, same
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.session import ReadOnlyError
from dextr_vos.web.timing import time_summary

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
Index = Annotated[int, InPath(ge=0)]
Number = Annotated[int, InPath(ge=1, le=254)]

_LOCKED_OUT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>dextr-vos</title>'
    "<p>Please open the address that dextr-vos annotate printed: it holds the token of this page.</p></html>"
)


def make_app(desk: Desk, token: str, host: str = "127.0.0.1", static: Path = STATIC) -> FastAPI:
    """The server's application.

    Args:
        desk: what is worked on.
        token: that opens it.
        host: that it will listen on.
        static: folder of the page's files.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, token=token, host=host)
    _add_errors(app)
    _add_page(app, token, static)
    _add_looking(app, desk)
    _add_masks(app, desk)
    _add_frame_edits(app, desk)
    _add_object_edits(app, desk)
    _add_work(app, desk)
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


def _add_looking(app: FastAPI, desk: Desk) -> None:
    pictures = desk.session.pictures

    @app.get("/api/state")
    def state() -> Response:
        desk.session.refresh()
        return JSONResponse(desk.state(), headers={"cache-control": "no-store"})

    @app.get("/api/events")
    async def events() -> Response:
        stream = desk.session.events.stream(lambda: desk.session.version)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @app.get("/api/time")
    def spent() -> dict[str, Any]:
        return time_summary(desk.session.document, {name: index for index, name in enumerate(pictures.names)})

    def picture(request: Request, index: int, make: Callable[[int], bytes]) -> Response:
        _check(desk, index)
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


def _add_masks(app: FastAPI, desk: Desk) -> None:
    def answer(found: tuple[str, bytes] | None) -> Response:
        if found is None:
            return Response(status_code=204, headers={"cache-control": "no-store"})
        headers = {"cache-control": "no-store", "x-mask-source": found[0]}
        return Response(found[1], media_type="image/png", headers=headers)

    @app.get("/api/masks/{index}")
    def mask(index: Index) -> Response:
        _check(desk, index)
        return answer(desk.masks.frame(index))

    @app.get("/api/frames/{index}/objects/{number}/mask")
    def object_mask(index: Index, number: Number) -> Response:
        _check(desk, index)
        return answer(desk.masks.of_object(index, number))


def _add_frame_edits(app: FastAPI, desk: Desk) -> None:
    session = desk.session

    def done(index: int, began: float) -> dict[str, Any]:
        return {
            **_answer(desk),
            "mask": _mask(desk, index),
            "ms": round(1000 * (time.perf_counter() - began)),
        }

    @app.post("/api/frames/{index}/objects/{number}/points")
    def points(index: Index, number: Number, body: bodies.Points) -> dict[str, Any]:
        began = time.perf_counter()
        session.set_points(index, number, body.rounded(), body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/objects/{number}/stroke")
    def stroke(index: Index, number: Number, body: bodies.Stroke) -> dict[str, Any]:
        began = time.perf_counter()
        session.stroke(index, number, body.path, body.radius, body.erase, body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/objects/{number}/clear")
    def clear(index: Index, number: Number, body: bodies.Clear | None = None) -> dict[str, Any]:
        began = time.perf_counter()
        session.clear(index, number, 0.0 if body is None else body.spent_ms())
        return done(index, began)

    @app.post("/api/frames/{index}/keyframe")
    def keyframe(index: Index, body: bodies.KeyframeOrNot) -> dict[str, Any]:
        session.set_keyframe(index, body.keyframe)
        return _answer(desk)

    @app.post("/api/frames/{index}/lock")
    def lock(index: Index, body: bodies.Lock) -> dict[str, Any]:
        session.set_locked(index, body.locked)
        return _answer(desk)

    @app.post("/api/frames/{index}/status")
    def status(index: Index, body: bodies.Status) -> dict[str, Any]:
        _check(desk, index)
        desk.set_status(index, body.status)
        return _answer(desk)

    @app.post("/api/undo")
    def undo(body: bodies.Nothing | None = None) -> dict[str, Any]:
        index = session.undo()
        return {**_answer(desk), "index": index, "mask": _mask(desk, index)}

    @app.post("/api/redo")
    def redo(body: bodies.Nothing | None = None) -> dict[str, Any]:
        index = session.redo()
        return {**_answer(desk), "index": index, "mask": _mask(desk, index)}


def _add_object_edits(app: FastAPI, desk: Desk) -> None:
    session = desk.session

    @app.post("/api/objects")
    def new(body: bodies.NewObject) -> dict[str, Any]:
        number = session.add_object(body.name, body.colour and body.colour.lower())
        return {**_answer(desk), "id": number}

    @app.post("/api/objects/order")
    def order(body: bodies.Order) -> dict[str, Any]:
        session.order_objects(body.ids)
        return _answer(desk)

    @app.post("/api/objects/{number}")
    def change(number: Number, body: bodies.ChangedObject) -> dict[str, Any]:
        session.change_object(number, body.changes())
        return _answer(desk)

    @app.post("/api/objects/{number}/delete")
    def delete(number: Number, body: bodies.Nothing | None = None) -> dict[str, Any]:
        session.delete_object(number)
        return _answer(desk)


def _add_work(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/propagate")
    def propagate(body: bodies.Propagate | None = None) -> dict[str, Any]:
        desk.propagate(None if body is None else body.budget)
        return _answer(desk)

    @app.post("/api/cancel")
    def cancel(body: bodies.Nothing | None = None) -> dict[str, Any]:
        desk.cancel()
        return _answer(desk)

    @app.post("/api/export")
    def export(body: bodies.Export) -> dict[str, Any]:
        desk.export(body.kind)
        return _answer(desk)

    @app.get("/api/exports/{kind}")
    def exported(kind: str) -> Response:
        path = desk.exported(kind)
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})

    @app.post("/api/reset")
    def reset(body: bodies.Reset) -> dict[str, Any]:
        if not body.confirm:
            raise InputError('resetting forgets all progress; send {"confirm": true} if that is meant')
        desk.reset()
        return _answer(desk)


def _check(desk: Desk, index: int) -> None:
    count = len(desk.session.pictures.names)
    if index >= count:
        raise InputError(f"there is no frame {index}; expected 0 to {count - 1}")


def _answer(desk: Desk) -> dict[str, Any]:
    state = desk.state()
    return {"version": state["version"], "state": state}


def _mask(desk: Desk, index: int | None) -> str | None:
    found = None if index is None else desk.masks.frame(index)
    return None if found is None else base64.b64encode(found[1]).decode()
