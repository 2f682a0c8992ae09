"""The chat as an application that uvicorn serves: its routes, its page, and what it says of an outage."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from examples.chat.chat import Chat
from examples.chat.routes import routes
from tieline.api import Unavailable

PAGE: Final = Path(__file__).with_name("page")
CLIENT: Final = Path(__file__).parents[2] / "web" / "tieline.js"
"""The browser's client; from npm it is the package `tieline`."""


def make_app(chat: Chat) -> FastAPI:
    """Make the application."""
    app = FastAPI(title="A chat with voice calls")
    app.state.chat = chat
    app.include_router(routes)

    @app.exception_handler(Unavailable)
    async def on_outage(_request: Request, _problem: Unavailable) -> JSONResponse:
        return JSONResponse({"detail": "voice is away at the moment"}, 503)

    @app.get("/tieline.js", response_class=FileResponse)
    async def client() -> FileResponse:
        return FileResponse(CLIENT)

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app
