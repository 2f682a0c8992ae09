import pytest

from tests.unit.wire.samples import REFUSALS
from tieline.wire.codes import CLOSE_REASONS, CloseCode, ErrorCode, HandshakeError, may_reconnect


def test_the_refusals_are_the_rows_of_the_protocol_and_no_others() -> None:
    assert tuple((refusal.code, refusal.msg, refusal.reason) for refusal in ErrorCode) == REFUSALS


@pytest.mark.parametrize(
    ("denial", "status"),
    [
        (HandshakeError.MALFORMED, 400),
        (HandshakeError.UNAUTHORIZED, 401),
        (HandshakeError.NOT_FOUND, 404),
        (HandshakeError.UPGRADE_REQUIRED, 426),
        (HandshakeError.HEADERS_TOO_LARGE, 431),
        (HandshakeError.TOO_MANY_ROOMS, 401),
        (HandshakeError.TOO_MANY_CONNECTIONS, 429),
        (HandshakeError.RATE_LIMITED, 429),
        (HandshakeError.DRAINING, 503),
        (HandshakeError.FULL, 503),
        (HandshakeError.BROKER_UNAVAILABLE, 503),
    ],
)
def test_a_denial_has_the_http_status_of_the_protocol(denial: HandshakeError, status: int) -> None:
    assert denial.status == status


@pytest.mark.parametrize("denial", HandshakeError)
def test_a_denial_says_something_to_people_and_a_word_to_programs(denial: HandshakeError) -> None:
    assert denial.msg
    assert denial.reason == denial.name


def test_refusals_that_share_status_and_text_differ_in_reason() -> None:
    assert (
        len({denial.reason for denial in HandshakeError})
        == len(list(HandshakeError))
        == len({*HandshakeError.__members__.values()})
    )


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (CloseCode.NORMAL, 1000),
        (CloseCode.GOING_AWAY, 1001),
        (CloseCode.PROTOCOL_ERROR, 1002),
        (CloseCode.BINARY_FRAME, 1003),
        (CloseCode.NOT_UTF8, 1007),
        (CloseCode.TOO_BIG, 1009),
        (CloseCode.SERVICE_RESTART, 1012),
        (CloseCode.SLOW_CONSUMER, 4000),
        (CloseCode.PONG_TIMEOUT, 4001),
        (CloseCode.BROKER_LOST, 4002),
        (CloseCode.REPLACED, 4500),
        (CloseCode.TOKEN_EXPIRED, 4501),
        (CloseCode.KICKED, 4502),
        (CloseCode.FLOODING, 4503),
        (CloseCode.PROTOCOL_VIOLATION, 4504),
    ],
)
def test_a_close_code_is_the_number_of_the_protocol(code: CloseCode, number: int) -> None:
    assert code == number


def test_every_close_reason_fits_into_a_close_frame() -> None:
    assert set(CLOSE_REASONS) == set(CloseCode)
    assert all(len(reason.encode()) <= 123 for reason in CLOSE_REASONS.values())


@pytest.mark.parametrize("code", [4000, 4001, 4002, 4250, 4499])
def test_codes_from_4000_to_4499_say_come_back(code: int) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [4500, 4501, 4502, 4503, 4504, 4999])
def test_codes_from_4500_to_4999_say_stay_away(code: int) -> None:
    assert not may_reconnect(code)


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013])
def test_a_server_that_goes_away_or_breaks_may_be_tried_again(code: int) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1009])
def test_a_normal_end_and_the_client_s_own_mistakes_are_final(code: int) -> None:
    assert not may_reconnect(code)


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_code_is_read_by_its_number_alone(code: CloseCode) -> None:
    assert may_reconnect(code) == may_reconnect(int(code))
