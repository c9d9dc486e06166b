"""What every application of the server has: the page's files, and one sentence for whatever is wrong."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dextr_vos.errors import DextrVosError
from dextr_vos.web.auth import cookie_name, has_cookie, tokens_equal
from dextr_vos.web.jobs import ConflictError
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.write_access import ReadOnlyError

log = logging.getLogger(__name__)

_WITHOUT_TOKEN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>dextr-vos</title>'
    "<p>Please open the address that dextr-vos annotate printed: it contains this page's token.</p></html>"
)


def add_errors(app: FastAPI, log_level: int = logging.DEBUG) -> None:
    """Answer whatever goes wrong with one sentence.

    Args:
        app: gets the handlers of errors.
        log_level: at which the sentence is logged, too.
    """

    def refusal(request: Request, message: str, status: int) -> Response:
        # a request may hold half a surrogate pair, which no answer can
        message = message.encode(errors="replace").decode()
        log.log(log_level, "%s: %s", request.url.path, message)
        return JSONResponse({"error": message}, status)

    def with_message(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: refusal(request, str(error), status)

    app.add_exception_handler(DextrVosError, with_message(400))
    app.add_exception_handler(ReadOnlyError, with_message(409))
    app.add_exception_handler(ConflictError, with_message(409))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return refusal(request, f"{where}: {first['msg']}", 400)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        messages = {404: "there is nothing at this address", 405: "this address does not accept this method"}
        answer = refusal(request, messages.get(error.status_code, error.detail), error.status_code)
        answer.headers.update(error.headers or {})  # of 405: which methods there are
        return answer

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

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        name = cookie_name(request.headers.get("host", ""))
        given = request.query_params.get("token")
        if given is not None and tokens_equal(given, token):
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(name, token, httponly=True, samesite="strict", path="/")
            return response
        if not has_cookie(request.headers.get("cookie", ""), name, token):
            return HTMLResponse(_WITHOUT_TOKEN, 403)
        return files.response(request, index)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files.response(request, name)
