"""The whole system as its users see it: real processes, a real broker, real sockets."""

import pytest

pytest.register_assert_rewrite("tests.support.cast", "tests.support.raw_client")
