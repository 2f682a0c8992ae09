"""`tieline call`: real WebRTC peers that call each other, or a bot that answers and rings other users.

`command` reads the options. A call between two ends is `conversation`, with `call_end` for each end and
`timeline` for the printed steps. A bot is `bot_runner`, `bot`, `bot_script` and `bot_call`. Both use `peer`,
`sound`, `tone` and `trickle`.
"""
