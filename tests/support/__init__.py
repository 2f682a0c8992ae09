"""What the tests of several folders use: people and loads, processes, brokers, and where to wait."""

import pytest

# Their assertions are a test's own: a failure shows both sides.
pytest.register_assert_rewrite("tests.support.load", "tests.support.people", "tests.support.raw_client")
