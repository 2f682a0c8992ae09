"""Which tests `make flaky` runs."""

from pathlib import Path

from tests.support.flaky import ROOT, all_test_files, choose

TESTS = [
    "tests/broker/gateway/delivery/test_mailbox.py",
    "tests/unit/gateway/delivery/test_mailbox.py",
    "tests/unit/presence/test_rooms.py",
    "tests/system/test_rooms.py",
    "tests/unit/presence/test_service.py",
]


def test_a_changed_test_file_is_run() -> None:
    assert choose(["tests/system/test_rooms.py", "README.md"], TESTS) == ["tests/system/test_rooms.py"]


def test_a_changed_module_brings_every_test_file_of_its_name() -> None:
    assert choose(["gateway/delivery/mailbox.py"], TESTS) == TESTS[:2]


def test_tests_that_name_the_folder_too_are_of_that_module() -> None:
    tests = ["tests/unit/test_tone_wave.py", "tests/unit/test_call_tone.py"]
    assert choose(["tieline/cli/call/tone.py"], tests) == tests[1:]


def test_names_that_many_folders_have_bring_nothing() -> None:
    assert choose(["gateway/__init__.py", "router/__main__.py", "tests/system/conftest.py"], TESTS) == []


def test_files_that_are_no_python_bring_nothing() -> None:
    assert choose(["docs/rooms.md", "deploy/rooms.yaml", "web/rooms"], TESTS) == []


def test_each_test_file_is_run_once() -> None:
    assert choose(["presence/rooms.py", "tests/unit/presence/test_rooms.py"], TESTS) == TESTS[2:4]


def test_all_test_files_are_known() -> None:
    assert str(Path(__file__).relative_to(ROOT)) in all_test_files()
