"""Notes of which user each session of a gateway belongs to, for the case that the gateway dies.

They are an index (docs/decisions/0006-an-index-of-sessions-by-gateway.md): what a session is stands in the
record of its user. Who has ended a session removes its note by the revision that the record names.
"""

from presence.record_codec import user_in
from presence.store import MAX_TRIES, Conflict, Store, StoreUnavailable, lost_rounds, read_one
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.subjects import Keys


class SessionNotes:
    """The notes in a store. Raises what `Store` raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(
        self, gateway: GatewayId, session: SessionId, user: UserId, *, renews: bool = False
    ) -> int:
        """Note which user a session of a gateway belongs to, for the case that the gateway dies.

        With `renews` a note that is there is written anew, so that a removal of it that is under way fails.
        Returns the revision of the note, by which it is removed: so none is given to a user of another name,
        whose gateway has named a session that it does not have.

        Raises:
            StoreUnavailable: it is the session of another user, or the store does not answer.
        """
        key, revision = Keys.session(gateway, session), 0
        for _ in range(MAX_TRIES):
            try:
                return await self._store.write(key, user.encode(), revision)
            except Conflict:  # noted already, or noted and removed before: the session came back
                found = await read_one(self._store, key)
            revision = found.revision
            if found.value == user.encode():
                if not renews:
                    return revision
            elif found.value and await self._is_of(found.value, gateway, session):
                raise StoreUnavailable(f"a session of another user: {key}")
        raise lost_rounds(key)

    async def _is_of(self, noted: bytes, gateway: GatewayId, session: SessionId) -> bool:
        """Whether the user of a note has that session; what a router has destroyed names nobody."""
        try:
            key = Keys.user(UserId(noted.decode()))
        except ValueError:
            return False
        user, _ = user_in(await self._store.read(key, confirmed=True), key)
        return user is not None and (user.session.gateway, user.session.id) == (gateway, session)
