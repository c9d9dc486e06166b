"""The routes of a project: the list of its clips, and below `/clips/NAME/` the page of each."""

import threading
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from dextr_vos.errors import DextrVosError
from dextr_vos.web.app import STATIC, add_errors, add_page, clip_app
from dextr_vos.web.auth import Auth
from dextr_vos.web.page_files import PageFiles
from dextr_vos.web.project import Project


class ClipApps:
    """The application of each clip, made when its address is first opened.

    Args:
        project: opens the clips.
        files: of the page.
    """

    def __init__(self, project: Project, files: PageFiles) -> None:
        self._project, self._files = project, files
        self._apps: dict[str, ASGIApp] = {}
        self._making = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            app = await run_in_threadpool(self._app, scope["path_params"]["name"])
        except (DextrVosError, OSError) as error:
            app = JSONResponse({"error": str(error)}, 400)
        await app(scope, receive, send)

    def _app(self, name: str) -> ASGIApp:
        with self._making:
            if name not in self._apps:
                self._apps[name] = clip_app(self._project.service(name), self._files)
            return self._apps[name]


def make_project_app(project: Project, token: str, host: str = "127.0.0.1") -> FastAPI:
    """The server's application for a project; see `app.make_app` for one clip.

    Args:
        project: its clips.
        token: gives access to it.
        host: that the server listens on.
    """
    files = PageFiles(STATIC)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Auth, token=token, host=host)
    add_errors(app)
    add_page(app, token, files, "project.html")

    @app.get("/api/project")
    def progress() -> dict[str, Any]:
        return {"title": project.title, "clips": project.progress()}

    @app.get("/api/project/{name}/thumb")
    def thumb(name: str) -> Response:
        headers = {"cache-control": "private, max-age=3600"}
        return Response(project.thumb(name), media_type="image/jpeg", headers=headers)

    app.router.routes.append(Mount("/clips/{name}", app=ClipApps(project, files)))
    return app


class ProjectSite:
    """The list of a project's clips, and their pages; see `serve.Site`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.start, self.end_streams = project.start, project.end_streams
        self.poll, self.close = project.poll, project.close

    def app(self, token: str, host: str) -> FastAPI:
        """See `serve.Site`."""
        return make_project_app(self._project, token, host)
