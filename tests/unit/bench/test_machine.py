"""`bench.machine`: the description of the machine."""

from bench.machine import PACKAGES, describe, processor


def test_the_processor_is_named() -> None:
    assert processor("processor\t: 0\nmodel name\t: Fast One  \nflags\t: x\n") == "Fast One"
    assert processor("") == "unknown processor"


def test_the_description_names_the_packages_that_matter() -> None:
    described = describe()
    assert all(f"{package} " in described for package in PACKAGES)
    assert " cores, " in described
