"""`tieline.load.faults`: counts that add up."""

from tieline.load.faults import Faults


def test_any_fault_makes_a_run_faulty() -> None:
    assert not Faults()
    for fault in Faults.__dataclass_fields__:
        assert Faults(**{fault: 1})


def test_faults_add_up_and_are_named() -> None:
    faults = Faults(lost=1)
    faults += Faults(lost=2, duplicate=1)
    assert faults == Faults(lost=3, duplicate=1)
    assert str(faults).startswith("3 lost, 1 duplicate, 0 ")
