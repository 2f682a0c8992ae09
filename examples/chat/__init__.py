"""A small chat's backend with voice calls: FastAPI, SQLite, and Tieline beneath it (docs/backends.md).

`routes` are what its users and moderators ask over HTTP, and what Tieline tells it. `database` has its
tables, which are the truth about chats, members and bans; what Tieline must know of them goes through
`outbox`. `history` makes calls and pushes of what Tieline tells; `push` stands in for APNs and FCM. `chat` is
what runs, `app` what is served, and `python -m examples.chat` starts all of it.
"""
