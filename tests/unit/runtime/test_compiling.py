"""What is said to mypyc changes nothing where nobody compiles."""

from tieline.runtime.compiling import mypyc_attr


def test_a_class_that_is_described_is_the_same_class() -> None:
    class Described:
        """One."""

    assert mypyc_attr(allow_interpreted_subclasses=True)(Described) is Described
