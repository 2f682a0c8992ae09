"""What one user may ask for, on whichever connection it comes. Pure.

A gateway keeps a `UserBudget` for each user (`users`). Everything that is done for the user is charged to it
at its price (`prices`), and each kind of limit is a `Rate`. What is over the limit waits in the client's
socket (`gateway/client/connection.py`), and only what cannot wait is refused (`gateway/client/session.py`).
"""
