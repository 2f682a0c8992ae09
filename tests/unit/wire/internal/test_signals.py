from tieline.wire.internal.signals import Relay


def test_a_relay_says_nothing_of_a_grant_unless_there_is_one() -> None:
    relay = Relay("relayed", ())

    assert relay.grant_seconds == 0
    assert relay.grant_held == ()
