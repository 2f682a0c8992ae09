"""`bench.rooms`: the Markdown that is printed."""

from bench.rooms import Step, table


def test_a_step_says_what_it_took_and_what_others_felt() -> None:
    step = Step("join", 300, 9.8, 2, [0.01, 0.02], 10.0, 25.0, {"gateways": 1.25, "broker": 0.5})
    head, _, row = table([step]).splitlines()
    assert head.endswith("| CPU s: gateways | CPU s: broker | amiss |")
    assert row == "| 300 | join | 9.8 | 10 | 20 | 2 | 10.0 | 25.0 | 2.5 | 1.2 | 0.5 | - |"


def test_what_is_amiss_is_said() -> None:
    row = table([Step("join", 300, waits=[0.01], amiss="JOIN was answered with 500")]).splitlines()[-1]
    assert "| - |" in row
    assert row.endswith("| JOIN was answered with 500 |")
