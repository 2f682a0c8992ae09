"""What gateways, routers and presence processes send to each other, in msgpack.

Messages stand by what they are about: one signal (`signals`), sessions and connections (`sessions`), rooms
(`rooms`), and answers that several requests share (`answers`). Who may send which is in `directions`: each
direction is one tagged union, with one decoder in `codec`. A process that cannot answer sends nothing. The
caller resends, and another process answers.

Fields are told apart by their position. A message may only grow, at its end, by fields with defaults:
neighbouring versions run side by side (docs/decisions/0060-messages-and-records-change-by-rule.md).

Nothing here reaches a client; that is `envelope`. The frame of a client travels inside these messages as
bytes; only the router looks at it once more, to see whose it is (`heads`).
"""
