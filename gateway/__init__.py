"""The gateway: the edge that clients connect to. No state that must survive it.

From the outside in, each folder imports only those below it: `sessions` (what presence and routers are asked:
how sessions begin, live and end), `rooms` (what the logs of rooms say, and how their members are told),
`delivery` (what the mailbox stores for sessions, and how it reaches them), `client` (what exists once a
client: its socket and its session), `admission` (who may connect), `limits` (what one user may ask for).
`demo` serves the demo page; `settings` and `__main__` put it all together.
"""
