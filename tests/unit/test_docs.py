"""What the documents say that can be compared with the code: links, settings, metrics, codes and texts."""

import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client import Metric

from gateway.__main__ import GatewaySettings
from presence.__main__ import PresenceSettings
from tests.support.demand import DEMAND_VARIABLE
from tieline.cli.dev.broker_process import PROGRAM_VARIABLE
from tieline.metrics import REGISTRY
from tieline.runtime.settings import PREFIX, ProcessSettings
from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "deploy/README.md",
    ROOT / "model/README.md",
]
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()

SECTIONS: dict[str, type[ProcessSettings]] = {
    "Every process": ProcessSettings,
    "gateway": GatewaySettings,
    "presence": PresenceSettings,
}
"""Which settings are listed under which heading; those of every process only under the first."""

TOOLS = {PROGRAM_VARIABLE, DEMAND_VARIABLE}
"""Variables that no process of the system reads."""


def section(document: str, heading: str) -> str:
    """The text under a heading of the second level."""
    return document.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every line of every table, without their code marks."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def anchors(document: Path) -> set[str]:
    """What the headings of a document are called in links, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative_links() -> list[tuple[Path, str]]:
    """Every link that leads to a file of this project, with the document it stands in."""
    texts = {
        document: re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for document in DOCUMENTS
    }
    links = [
        (document, target)
        for document, text in texts.items()
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
    ]
    return [(document, target) for document, target in links if not re.match(r"[a-z]+:", target)]


def own_fields(kind: type[ProcessSettings]) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields that a settings class has beyond those of every process, by variable."""
    common = () if kind is ProcessSettings else ProcessSettings.__struct_fields__
    fields = msgspec.structs.fields(kind)
    return {PREFIX + field.name.upper(): field for field in fields if field.name not in common}


@pytest.mark.parametrize(
    ("document", "target"),
    relative_links(),
    ids=lambda value: str(value.relative_to(ROOT)) if isinstance(value, Path) else value,
)
def test_a_relative_link_leads_somewhere(document: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    there = (document.parent / name).resolve() if name else document
    assert there.exists()
    if anchor:
        assert anchor in anchors(there)


@pytest.mark.parametrize(("heading", "kind"), list(SECTIONS.items()), ids=list(SECTIONS))
def test_every_setting_is_listed_with_its_default_and_no_other_is(
    heading: str, kind: type[ProcessSettings]
) -> None:
    listed = {row[0]: row[1] for row in rows(section(CONFIGURATION, heading)) if row[0].startswith(PREFIX)}
    fields = own_fields(kind)
    assert listed.keys() == fields.keys()
    for variable, field in fields.items():
        assert listed[variable] == _shown(field)


def _shown(field: msgspec.structs.FieldInfo) -> str:
    """A default as the table shows it."""
    if field.required:
        return "required"
    return (f"{field.default:g}" if isinstance(field.default, int | float) else field.default) or "none"


def test_the_configuration_names_no_variable_that_nobody_reads() -> None:
    known = {variable for kind in SECTIONS.values() for variable in own_fields(kind)} | TOOLS
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", CONFIGURATION)) == known


def test_every_metric_is_listed_and_no_other_is() -> None:
    listed = {row[0] for row in rows(section((ROOT / "docs/architecture.md").read_text(), "Metrics"))}
    assert {name for name in listed if name.startswith("tieline_")} == {
        _exposed(metric) for metric in REGISTRY.collect() if not metric.name.startswith("tieline_process_")
    }


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


@pytest.mark.parametrize("refusal", ErrorCode)
def test_the_protocol_has_a_row_for_every_refusal(refusal: ErrorCode) -> None:
    row = [str(refusal.code), refusal.msg, refusal.reason]
    assert row in [cells[:3] for cells in rows(section(PROTOCOL, "5. Errors"))]


@pytest.mark.parametrize("denial", HandshakeError)
def test_the_protocol_has_a_row_for_every_denial(denial: HandshakeError) -> None:
    row = [str(denial.status), denial.msg, denial.reason]
    assert row in [cells[:3] for cells in rows(section(PROTOCOL, "1. Connecting"))]


@pytest.mark.parametrize("code", CloseCode)
def test_the_protocol_has_a_row_for_every_close_code(code: CloseCode) -> None:
    numbers = {number for cells in rows(section(PROTOCOL, "5. Errors")) for number in cells[0].split(", ")}
    assert str(int(code)) in numbers


def test_the_python_examples_of_the_documents_compile() -> None:
    examples = [
        (document.name, example)
        for document in DOCUMENTS
        for example in re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert "python-client.md" in [name for name, _ in examples]
    for name, example in examples:
        compile(example, name, "exec")
