"""What must hold while somebody attacks, and what of it did not. Pure: `arena.py` has watched.

How long the honest waited is measured by `make bench-attacks`. Here counts what they lost, and whether they
were served at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MIB: Final = 1024.0
"""In KiB, as the kernel counts resident memory."""

MOST_GROWTH_MIB: Final[Mapping[str, float]] = {
    "gateway": 128,
    "router": 96,
    "presence": 128,
    "api": 96,
    "nats": 384,
}
"""By how much a process may grow in one row: well within what is left of a pod's limit (`deploy/k8s`)."""

STARVED_MS: Final = 500.0
"""If half of all messages take longer, the honest are not served any more. It is a hundred times what a
message takes on a machine that has other things to do, so no busy machine looks like it."""

BUGS: Final = (b"Traceback (most recent call last)", b"Task exception was never retrieved")
"""What the log of a process that does what it should never says."""


@dataclass(frozen=True)
class Seen:
    """What became of one row."""

    honest: Mapping[str, Any]
    """See `Honest.report`."""
    attack: Mapping[str, Any]
    """What the attackers did: `counts`, `amiss`, `problem`."""
    grown_mib: Mapping[str, float]
    """By how much the processes have grown, by their names."""
    ended: Sequence[str]
    """Processes that are not there any more."""
    log: bytes
    """What the processes have logged meanwhile."""
    log_lines: Mapping[str, int] = field(default_factory=dict)
    cores: Mapping[str, float] = field(default_factory=dict)
    """How many cores the attackers, the honest and the processes kept busy during the attack."""


def problems(seen: Seen, *, kills_broker: bool) -> list[str]:
    """Say what must not be, and is: a sentence each."""
    found = [*_lost(seen.honest, kills_broker), *_closed(seen.honest, kills_broker), *seen.attack["amiss"]]
    if seen.honest["kept_out"] and not kills_broker:
        kept = seen.honest["kept_out"]
        found.append(f"{len(kept)} of {seen.honest['visits']} newcomers were kept out: {kept[0]}")
    loud = seen.honest["phases"].get("loud")
    if loud and loud["p50_ms"] > STARVED_MS and not kills_broker:
        found.append(f"half of the messages took longer than {loud['p50_ms']:.0f} ms")
    for name, grown in seen.grown_mib.items():
        most = MOST_GROWTH_MIB[name.partition(" ")[0]]
        if grown > most:
            found.append(f"{name} has grown by {grown:.0f} MiB, more than {most:.0f}")
    found += [f"{name} has ended" for name in seen.ended if not (kills_broker and name.startswith("nats"))]
    found += [f"{seen.log.count(bug)} times in the logs: {bug.decode()}" for bug in BUGS if bug in seen.log]
    if seen.attack["problem"]:
        found.append(f"the attack came to nothing: {seen.attack['problem']}")
    if not seen.attack["counts"]:
        found.append("the attack did nothing")
    return found


def _lost(honest: Mapping[str, Any], kills_broker: bool) -> list[str]:
    delivery = honest["delivery"]
    judged = {"lost", "repeated", "out_of_order", "foreign", "refused"}
    if kills_broker:  # whose message is answered with 500 sends it again, behind those sent meanwhile
        judged -= {"out_of_order"}
    faults = {name: count for name, count in delivery.items() if name in judged and count}
    found = [
        f"of {delivery['sent']} messages {count} {name.replace('_', ' ')}" for name, count in faults.items()
    ]
    refused = {reason: count for reason, count in honest["counts"].items() if reason.isupper()}
    if refused:
        found.append(f"refused with {counted(refused)}")
    if honest["counts"].get("asked again") and not kills_broker:
        found.append(f"{honest['counts']['asked again']} answered with 500")
    if honest["unanswered"]:
        found.append(f"{honest['unanswered']} senders were not answered any more")
    return found


def _closed(honest: Mapping[str, Any], kills_broker: bool) -> list[str]:
    closed = {how: count for how, count in honest["counts"].items() if how.startswith("the server")}
    found = [f"honest connections ended: {counted(closed)}"] if closed else []
    found += [
        f"{honest['delivery'][name]} {name.replace('_', ' ')}"
        for name in ("hung_up", "sessions_lost")
        if honest["delivery"][name]
    ]
    return found


def counted(counts: Mapping[str, int]) -> str:
    """Say what was counted, for people: `chunks 7, refused 1,200`."""
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())
