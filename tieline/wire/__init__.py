"""What two Tieline processes exchange, and what a client sends and gets. Pure: msgspec and nothing else.

Ids (`ids`), the client's envelope (`envelope`), messages between processes (`internal`), subjects and
keys (`subjects`), and the two vocabularies of saying no (`codes`).
"""
