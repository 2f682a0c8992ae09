"""`tieline.load.processes`: the files of the kernel in /proc."""

import os
from pathlib import Path

from tieline.load.processes import cpu_seconds, cpu_seconds_of, resident_kib, waited_seconds

TICKS = os.sysconf("SC_CLK_TCK")


def test_cpu_seconds_are_read_behind_any_process_name() -> None:
    stat = f"17 (a ) b) S 1 17 17 0 -1 4194304 9 0 0 0 {3 * TICKS} {TICKS} 99 99 20 0 5 0 100 1 2"
    assert cpu_seconds(stat) == 4.0


def test_this_process_has_used_time_and_memory() -> None:
    assert cpu_seconds_of({"tests": [os.getpid()]})["tests"] > 0
    assert resident_kib(os.getpid()) > 1000


def test_time_in_which_another_process_had_the_processor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("642687 2500000000 3\n")
    assert waited_seconds(file) == 2.5


def test_a_kernel_that_does_not_say_it_is_no_fault(tmp_path: Path) -> None:
    assert waited_seconds(tmp_path / "nothing") == 0
    (tmp_path / "empty").write_text("")
    assert waited_seconds(tmp_path / "empty") == 0
