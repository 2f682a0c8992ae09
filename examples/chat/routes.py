"""What the chat's users and moderators ask of it, and what Tieline tells it.

Who may do what is decided here; Tieline hears what follows from it. A change is made in our own tables and
written to the outbox in one transaction. The answer is 200 once Tieline has it, and 202 if that takes longer,
which is no failure: it will be told.
"""

import time
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Body, Depends, Header, HTTPException, Path, Request, Response
from fastapi.responses import PlainTextResponse

from examples.chat import history
from examples.chat.chat import Chat
from examples.chat.database import ban_until, members_of, restrictions, silence
from tieline.api import Backend, BadDelivery, read_delivery
from tieline.api.bodies import TokenOrder

TOKEN_S: Final = 900
"""How long a token is valid: clients fetch the next one by themselves. A ban does not wait for its end."""

ANSWER_S: Final = 2.0
"""How long an answer waits for Tieline to have a change: longer than a process takes to be replaced."""

MODERATOR: Final = "moderator"
"""Who may ban, take voices and end calls. In your backend that is a role."""

NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"

Name = Annotated[str, Path(pattern=NAME)]
Seconds = Annotated[float, Body(embed=True, ge=0, le=10**8)]

routes = APIRouter()


async def the_chat(request: Request) -> Chat:
    """Find the chat that runs."""
    chat: Chat = request.app.state.chat
    return chat


async def current_user(x_user: Annotated[str, Header(pattern=NAME)]) -> str:
    """Say who is logged in: your session knows. This believes whatever a page says of itself."""
    return x_user


async def moderator(user: Annotated[str, Depends(current_user)]) -> str:
    """Let in nobody but the moderator."""
    if user != MODERATOR:
        raise HTTPException(403, "this is for moderators")
    return user


Here = Annotated[Chat, Depends(the_chat)]
User = Annotated[str, Depends(current_user)]
Moderator = Annotated[str, Depends(moderator)]


async def own_chat(here: Here, user: User, chat: Name) -> str:
    """Let the owner of a chat change it, and moderators."""
    row = here.database.execute("SELECT owner FROM chats WHERE chat = ?", (chat,)).fetchone()
    if row is None or user not in (row["owner"], MODERATOR):
        raise HTTPException(404, "you have no such chat")
    return chat


OwnChat = Annotated[str, Depends(own_chat)]


async def _made(here: Chat, change: int, response: Response) -> None:
    if not await here.changes.done(change, ANSWER_S):
        response.status_code = 202


@routes.get("/token", response_class=PlainTextResponse)
async def token(here: Here, user: User) -> str:
    """Give the user a token. It says who this is and no more: which rooms it is in we tell Tieline."""
    _, banned_s = restrictions(here.database, user)
    if banned_s:
        raise HTTPException(403, "you are banned")
    return (await here.backend.mint_token(TokenOrder(user=user, seconds=TOKEN_S))).token


@routes.get("/gateway", response_class=PlainTextResponse)
async def gateway(here: Here) -> str:
    """Say where to connect with it."""
    return here.settings.gateway_url


@routes.get("/chats")
async def list_chats(here: Here, user: User) -> dict[str, list[str]]:
    """List the user's chats, each with its members."""
    rows = here.database.execute("SELECT chat FROM members WHERE user = ? ORDER BY chat", (user,))
    return {chat: sorted(members_of(here.database, chat)) for (chat,) in rows.fetchall()}


@routes.get("/chats/{chat}/members")
async def list_members(here: Here, user: User, chat: Name) -> dict[str, str]:
    """Say of the members of a chat where they are: online, away or offline."""
    if user not in members_of(here.database, chat):
        raise HTTPException(404, "you are in no such chat")
    return {member.user: member.status async for member in here.backend.members(chat)}


@routes.post("/chats/{chat}", status_code=201)
async def create_chat(here: Here, user: User, chat: Name, response: Response) -> None:
    """Make a chat of one's own, with oneself in it."""
    with here.database:
        made = here.database.execute("INSERT OR IGNORE INTO chats VALUES (?, ?)", (chat, user))
        if not made.rowcount:
            raise HTTPException(409, "there is such a chat")
        here.database.execute("INSERT INTO members VALUES (?, ?)", (chat, user))
        change = here.changes.make(Backend.add_member, chat, user)
    await _made(here, change, response)


@routes.put("/chats/{chat}/members/{user}")
async def add_member(here: Here, chat: OwnChat, user: Name, response: Response) -> None:
    """Take somebody into a chat, who need not be connected, nor ever have been."""
    with here.database:
        here.database.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (chat, user))
        change = here.changes.make(Backend.add_member, chat, user)
    await _made(here, change, response)


@routes.delete("/chats/{chat}/members/{user}")
async def remove_member(
    here: Here, chat: OwnChat, user: Name, response: Response, kept_out_s: float = 0
) -> None:
    """Put somebody out of a chat, and out of calls with those whom it meets nowhere else."""
    with here.database:
        here.database.execute("DELETE FROM members WHERE chat = ? AND user = ?", (chat, user))
        change = here.changes.make(Backend.kick_member, chat, user, kept_out_s)
    await _made(here, change, response)


@routes.delete("/chats/{chat}")
async def close_chat(here: Here, chat: OwnChat, response: Response) -> None:
    """Close a chat: everybody is put out, and calls of those who share no other one end."""
    with here.database:
        here.database.execute("DELETE FROM chats WHERE chat = ?", (chat,))
        change = here.changes.make(Backend.close_room, chat)
    await _made(here, change, response)


@routes.put("/users/{user}/ban")
async def ban(here: Here, _: Moderator, user: Name, seconds: Seconds, response: Response) -> None:
    """Disconnect somebody, and keep it away for a while; 0 seconds: let it come again."""
    with here.database:
        ban_until(here.database, user, time.time() + seconds)
        if seconds:
            change = here.changes.make(Backend.ban_user, user, seconds)
        else:
            change = here.changes.make(Backend.unban_user, user)
    await _made(here, change, response)


@routes.put("/users/{user}/voice")
async def set_voice(
    here: Here, _: Moderator, user: Name, allowed: Annotated[bool, Body(embed=True)], response: Response
) -> None:
    """Let somebody call nobody, and end the calls that it has; or let it again."""
    with here.database:
        silence(here.database, user, not allowed)
        change = here.changes.make(Backend.set_voice, user, allowed)
    await _made(here, change, response)


@routes.post("/calls/{call}/end")
async def end_call(here: Here, _: Moderator, call: Name, response: Response) -> None:
    """End a call that runs, for both; another one that the two may have by now goes on."""
    row = here.database.execute("SELECT caller, callee FROM calls WHERE call = ?", (call,)).fetchone()
    if row is None:
        raise HTTPException(404, "there is no such call")
    with here.database:
        change = here.changes.make(Backend.end_call, row["caller"], row["callee"], call)
    await _made(here, change, response)


@routes.get("/calls")
async def list_calls(here: Here, user: User) -> list[dict[str, Any]]:
    """List the user's calls, the newest first."""
    asked = "SELECT * FROM calls WHERE ? IN (caller, callee) ORDER BY began DESC LIMIT 100"
    return [dict(row) for row in here.database.execute(asked, (user,))]


@routes.get("/pushes")
async def list_pushes(here: Here, user: User) -> list[dict[str, Any]]:
    """List what was pushed to the user's phone: the stand-in's way to the page that stands in for a phone."""
    return [msgspec.to_builtins(push) for push in here.phones.sent[user]]


@routes.post("/tieline", status_code=204)
async def hear(here: Here, request: Request) -> None:
    """Take what Tieline tells. What is kept is answered at once; pushes are sent from the outbox."""
    try:
        secrets = here.settings.webhook_secrets
        events = read_delivery(request.headers, await request.body(), secrets, time.time())
    except BadDelivery as problem:
        raise HTTPException(401, str(problem)) from problem
    with here.database:
        for event in events:
            if history.keep(here.database, event) and (push := history.push_for(event)):
                here.pushes.put(push)
