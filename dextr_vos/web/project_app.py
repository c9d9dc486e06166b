"""The routes of a project: the list of its clips, and below `/clips/NAME/` the page of each."""

import hashlib
import html
import threading
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from dextr_vos.errors import DextrVosError
from dextr_vos.web import schemas
from dextr_vos.web.app import STATIC, clip_app
from dextr_vos.web.auth import Auth
from dextr_vos.web.openapi import Jpeg, described_app
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.page_routes import add_errors, add_page
from dextr_vos.web.project import Project


class ClipApps:
    """The application of each clip, made when its address is first opened.

    Args:
        project: opens the clips.
        files: of the page.
    """

    def __init__(self, project: Project, files: PageFiles) -> None:
        self._project, self._files = project, files
        self._making = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            app = await run_in_threadpool(self._app, scope["path_params"]["name"])
        except (DextrVosError, OSError) as error:
            by_person = "text/html" in Request(scope).headers.get("accept", "")
            app = _error_page(str(error)) if by_person else JSONResponse({"error": str(error)}, 400)
        await app(scope, receive, send)

    def _app(self, name: str) -> ASGIApp:
        service = self._project.service(name)  # which may take minutes, while other clips answer
        with self._making:
            if service.app is None:
                service.app = clip_app(service, self._files)
            return service.app


def _error_page(message: str) -> HTMLResponse:
    """What a person sees in place of a clip that cannot be opened."""
    head = "".join(
        f'<link rel="stylesheet" href="/static/{name}.css">' for name in ("base", "controls", "project")
    )
    return HTMLResponse(
        '<!doctype html><html lang="en" data-theme="auto"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>dextr-vos</title>'
        f'<script src="/static/theme-first.js"></script>{head}</head><body class="project"><main>'
        f'<h1>This clip cannot be opened</h1><p role="alert">{html.escape(message)}</p>'
        '<p><a class="button primary" href="/">All clips</a></p></main></body></html>',
        400,
    )


def make_project_app(project: Project, token: str, host: str = "127.0.0.1") -> FastAPI:
    """The server's application for a project; see `app.make_app` for one clip.

    Args:
        project: its clips.
        token: gives access to it.
        host: that the server listens on.
    """
    files = PageFiles(STATIC)
    app = described_app()
    app.add_middleware(Auth, token=token, host=host)
    add_errors(app)
    add_page(app, token, files, "project.html")

    _add_project(app, project)
    app.router.routes.append(Mount("/clips/{name}", app=ClipApps(project, files)))
    return app


def _add_project(app: FastAPI, project: Project) -> None:
    """The routes of the list of clips."""

    @app.get("/api/project")
    def progress() -> dict[str, Any]:
        """The clips with their progress; the routes of each are below `/clips/NAME`."""
        return {"title": project.title, "clips": project.progress()}

    @app.get("/api/project/{name}/thumb", response_class=Jpeg)
    def thumb(request: Request, name: str) -> Response:
        """The first frame of a clip, small."""
        jpeg = project.thumb(name)
        tag = f'"{hashlib.sha256(jpeg).hexdigest()[:20]}"'
        headers = {"cache-control": "private, no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Jpeg(jpeg, headers=headers)

    @app.post("/api/project/queue")
    def enqueue(body: schemas.Clips) -> dict[str, Any]:
        """Put clips into the queue of those that are propagated one after the other."""
        project.enqueue(body.names)
        return progress()

    @app.post("/api/project/dequeue")
    def dequeue(body: schemas.ClipName) -> dict[str, Any]:
        """Take a clip out of the queue."""
        project.dequeue(body.name)
        return progress()


class ProjectSite:
    """The list of a project's clips, and their pages; see `serve.Site`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.start, self.end_streams = project.start, project.end_streams
        self.poll, self.close = project.poll, project.close

    def app(self, token: str, host: str) -> FastAPI:
        """See `serve.Site`."""
        return make_project_app(self._project, token, host)
