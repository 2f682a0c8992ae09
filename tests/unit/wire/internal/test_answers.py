import pytest

from tieline.wire.codes import ErrorCode
from tieline.wire.internal.answers import Refused


@pytest.mark.parametrize("refusal", ErrorCode)
def test_a_refusal_is_found_again_by_its_name(refusal: ErrorCode) -> None:
    assert Refused(refusal.reason).refusal is refusal


def test_a_refusal_of_a_newer_version_is_a_failure() -> None:
    assert Refused("NOT_KNOWN_YET").refusal is ErrorCode.INTERNAL
