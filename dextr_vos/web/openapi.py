"""The description of the server's routes for scripts: OpenAPI, at `/openapi.json`, made from the routes."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, StreamingResponse
from starlette.responses import Response

from dextr_vos import __version__

_DESCRIPTION = (
    "What the annotation page asks its server for. Every request carries the token of the printed address, "
    "as `Authorization: Bearer TOKEN`. An edit is answered with `base` and `version`, of the states before "
    "and after it, and `changes`: the parts of the state that differ. Coordinates are pixels, x first. A "
    "request that cannot be fulfilled changes nothing."
)
_ERRORS = {
    "400": "Something in the request does not fit",
    "403": "The token is missing or wrong",
    "413": "The request is larger than 1 MB",
    "500": "A fault of the server or its disk",
    "409": "Something else is in progress, or the workspace can only be viewed",
}
BINARY_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Jpeg(Response):
    """An image."""

    media_type = "image/jpeg"


class Png(Response):
    """A mask."""

    media_type = "image/png"


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


class AnyFile(FileResponse):
    """A file; the type in its answer is that of the file itself."""

    media_type = "application/octet-stream"


def described_app() -> FastAPI:
    """An application that describes its routes at `/openapi.json`, and has no pages about them."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/openapi.json")

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    about: dict[str, Any] = {"title": "dextr-vos", "version": __version__, "description": _DESCRIPTION}
    made = get_openapi(**about, routes=app.routes, servers=app.servers)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"] = {
        "type": "object",
        "properties": {"error": {"type": "string", "description": "One sentence that says what to do."}},
        "required": ["error"],
    }
    made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["summary"] = operation.pop("description", "")  # FastAPI's is the function's name
            answers = operation["responses"]
            answers.pop("422", None)  # what FastAPI would answer is 400 here
            if Png.media_type in answers["200"]["content"]:
                answers["204"] = {"description": "There is no mask"}
            answers |= {status: {"description": why, "content": content} for status, why in _ERRORS.items()}
    return made
