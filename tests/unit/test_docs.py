"""Whatever documents say that can be compared with the code: links, paths, settings, metrics, codes, texts.

Also what the code says of the documents: every page and heading that a comment cites exists. The list of pure
modules has tests of its own (`test_pure_modules`).
"""

import ast
import re
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from prometheus_client import Metric

import tieline.client
from api.settings import ApiSettings
from gateway.settings import GatewaySettings
from presence.rules.effects import Happening
from presence.settings import PresenceSettings
from tests.support.demand import DEMAND_VARIABLE
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.dev.broker_process import PROGRAM_VARIABLE
from tieline.metrics import REGISTRY
from tieline.runtime.settings import PREFIX, ProcessSettings, variables_of
from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError
from tieline.wire.internal.directions import OPERATIONS
from tieline.wire.replies import Welcome
from webhooks.settings import WebhookSettings

ROOT = Path(__file__).parents[2]
SERVICES = {"gateway", "router", "presence", "api", "webhooks"}
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "deploy/README.md",
    ROOT / "examples/README.md",
    ROOT / "model/README.md",
    ROOT / "web/README.md",
]
DECISIONS = ROOT / "docs/decisions"
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()

SECTIONS: dict[str, type[ProcessSettings]] = {
    "Every process": ProcessSettings,
    "gateway": GatewaySettings,
    "presence": PresenceSettings,
    "webhooks": WebhookSettings,
    "api": ApiSettings,
}
"""Which settings are listed under which heading; those of every process only under the first."""

TOOLS = {PROGRAM_VARIABLE, DEMAND_VARIABLE, API_URL_VARIABLE, API_KEY_VARIABLE}
"""Variables that no process of the system reads."""

PLANS = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/style.md"]
"""Documents that say where things are: every path in them exists."""

COMMENTED = {".py", ".js", ".ts", ".html", ".css", ".yaml", ".yml", ".toml", ".conf", ".cfg"}
"""Files whose comments may cite a document."""


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


def commented_files() -> list[Path]:
    """Every file of the project that may cite a document in a comment."""
    top_level = [entry for entry in ROOT.iterdir() if entry.is_dir() and entry.name not in ("build", "dist")]
    folders = [entry for entry in top_level if not entry.name.startswith(".")]
    inner = [path for folder in folders for path in folder.rglob("*") if "node_modules" not in path.parts]
    files = [path for path in inner if path.suffix in COMMENTED and path != Path(__file__)]
    return sorted([*files, ROOT / "Makefile", ROOT / "pyproject.toml"])


def citations() -> list[tuple[Path, str]]:
    """Every document that is cited in a comment by its path from the root, with the file that cites it.

    In tests only those with a heading: other paths may be made up.
    """
    cited = re.compile(r"(?<![\w/.-])(?:docs/[\w./-]+|README|CONTRIBUTING|CHANGELOG)\.md(?:#[\w-]+)?")
    found = [(path, target) for path in commented_files() for target in cited.findall(path.read_text())]
    return [(path, target) for path, target in found if "#" in target or ROOT / "tests" not in path.parents]


def named_paths(document: str) -> set[str]:
    """The paths of this project that a document names between code marks."""
    spans = re.findall(r"`([\w./*-]+)(?:#[\w-]+)?`", (ROOT / document).read_text().replace("NNNN-*", "*"))
    top_level = {entry.name for entry in ROOT.iterdir()}
    return {span for span in spans if "/" in span and span.split("/")[0] in top_level}


def named_code() -> list[tuple[Path, str, Path]]:
    """What a document says to be in a Python file, as "`name` in [`file.py`](...)", with the document."""
    saying = re.compile(r"((?:`[\w.]+`(?:,\s|\sand\s)?)+)\sin\s\[`[\w/.-]+`\]\(([\w/.-]+\.py)\)")
    return [
        (document, name.rpartition(".")[2], (document.parent / target).resolve())
        for document in DOCUMENTS
        for names, target in saying.findall(document.read_text())
        for name in re.findall(r"`([\w.]+)`", names)
    ]


def decisions() -> list[Path]:
    """The pages of all decisions."""
    return sorted(DECISIONS.glob("[0-9]*.md"))


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


@pytest.mark.parametrize("document", PLANS)
def test_every_path_that_a_plan_names_exists(document: str) -> None:
    missing = {path for path in named_paths(document) if not list(ROOT.glob(path.rstrip("/")))}
    assert missing == set()


def test_what_a_document_finds_in_a_file_is_defined_there() -> None:
    missing = []
    for document, name, path in named_code():
        defined = re.compile(rf"^\s*(?:(?:async )?def |class )?{name}\b.*?[(:=]", re.MULTILINE)
        if not defined.search(path.read_text()):
            missing.append((document.name, name, path.name))
    assert missing == []


def test_every_test_that_a_document_names_exists() -> None:
    tests = list((ROOT / "tests").rglob("test_*.py"))
    there = {name for path in tests for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    there |= {path.stem for path in tests}
    pages = [page for page in DOCUMENTS if page.name != "style.md"]  # which names an example
    named = {name for page in pages for name in re.findall(r"`(test_\w+)`", page.read_text())}
    assert named - there == set()


def test_every_page_and_heading_cited_in_a_comment_exists() -> None:
    wrong = []
    for path, target in citations():
        name, _, anchor = target.partition("#")
        there = ROOT / name
        if not there.exists() or (anchor and anchor not in anchors(there)):
            wrong.append((str(path.relative_to(ROOT)), target))
    assert wrong == []


def test_comments_cite_a_page_by_its_path_and_not_by_a_title() -> None:
    by_title = re.compile(r"\b(?:DESIGN|PROTOCOL)(?:,| section|\))")
    citing = {str(path.relative_to(ROOT)) for path in commented_files() if by_title.search(path.read_text())}
    assert citing == set()


@pytest.mark.parametrize("page", decisions(), ids=lambda page: page.stem)
def test_a_decision_has_its_parts_and_a_row_in_the_index(page: Path) -> None:
    number = page.name[:4]
    text = page.read_text()
    title = re.match(rf"# {number}: (.+)\n\nStatus: (.+)\n", text)
    assert title
    parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Considered", "Consequences"]
    listed = [row for row in rows((DECISIONS / "README.md").read_text()) if row[0].startswith(f"[{number}]")]
    assert [row[:3] for row in listed] == [[f"[{number}]({page.name})", title[1], title[2]]]
    assert listed[0][3]


def test_the_index_lists_decisions_in_order_and_no_others() -> None:
    listed = [row[0] for row in rows((DECISIONS / "README.md").read_text()) if row[0].startswith("[")]
    assert listed == [f"[{page.name[:4]}]({page.name})" for page in decisions()]


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
    if isinstance(field.default, int):
        return str(int(field.default))
    return (f"{field.default:g}" if isinstance(field.default, float) else field.default) or "none"


def test_the_configuration_names_no_variable_that_nobody_reads() -> None:
    known = {variable for kind in SECTIONS.values() for variable in variables_of(kind)} | TOOLS
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", CONFIGURATION)) == known


def test_no_document_names_what_is_not_in_the_code() -> None:
    places = ("api", "gateway", "router", "presence", "tieline", "deploy", "examples", "tests", "web")
    files = [path for place in places for path in (ROOT / place).rglob("*") if path.suffix != ".md"]
    code = "\n".join(path.read_text(errors="replace") for path in files if path.is_file())
    named = {
        (str(document.relative_to(ROOT)), name)
        for document in DOCUMENTS
        for name in re.findall(r"\bTIELINE_[A-Z0-9_]*[A-Z0-9]|\btieline_[a-z_]*[a-z]", document.read_text())
    }
    settings = {variable for kind in SECTIONS.values() for variable in variables_of(kind)}
    suffixes = re.compile("_(FILE|total|bucket|count|sum)$")
    unknown = {(where, name) for where, name in named if name not in settings}
    assert {(where, name) for where, name in unknown if suffixes.sub("", name) not in code} == set()


def test_every_metric_is_listed_and_no_other_is() -> None:
    listed = {row[0] for row in rows(section(ARCHITECTURE, "Metrics"))}
    assert {name for name in listed if name.startswith("tieline_")} == {
        _exposed(metric) for metric in REGISTRY.collect() if not metric.name.startswith("tieline_process_")
    }


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def listed_below(subject: str) -> list[str]:
    """The words that the architecture's table of subjects lists for the last token of a subject."""
    (row,) = [row for row in rows(section(ARCHITECTURE, "Subjects")) if row[0] == subject]
    words = re.match(r"`?((?:\w+`, `)*\w+)`", row[2])
    assert words
    return words[1].split("`, `")


def test_the_table_of_subjects_lists_every_presence_operation() -> None:
    assert listed_below("presence.<op>") == list(OPERATIONS.values())


def test_the_table_of_subjects_lists_every_kind_of_event() -> None:
    assert listed_below("events.<kind>") == list(get_args(get_type_hints(Happening)["kind"]))


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


@pytest.mark.parametrize("page", ["docs/protocol.md", "docs/protocol.zh-CN.md"])
def test_every_json_example_of_the_protocol_can_be_read(page: str) -> None:
    blocks = re.findall(r"^```json\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    frames = [msgspec.json.decode(block) for block in blocks if '…"' not in block and "…}" not in block]
    assert frames
    (welcome,) = [frame for frame in frames if frame["cmd"] == "WELCOME"]
    assert list(welcome["data"]) == [field.encode_name for field in msgspec.structs.fields(Welcome)]
    msgspec.convert(welcome["data"], Welcome)


def test_the_python_examples_of_the_documents_compile() -> None:
    examples = [
        (document.name, example)
        for document in DOCUMENTS
        for example in re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert "python-client.md" in [name for name, _ in examples]
    for name, example in examples:
        compile(example, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_page_of_the_python_client_names_all_of_it() -> None:
    page = (ROOT / "docs/python-client.md").read_text()
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", page))
    methods = {name for name in vars(tieline.client.Client) if not name.startswith("_")} | {"stats"}
    events = {kind.__name__ for kind in get_args(tieline.client.Event)}
    errors = {name for name in tieline.client.__all__ if _is_error(name)}
    assert (methods | events | errors) - named == set()


def _is_error(name: str) -> bool:
    kind = getattr(tieline.client, name)
    return isinstance(kind, type) and issubclass(kind, tieline.client.ClientError)


def test_the_manual_of_operators_forgets_no_service() -> None:
    manual = (ROOT / "docs/operations.md").read_text()
    what_runs = re.findall(r"^\| (\w+)[,|]? ", _section(manual, "What runs"), re.MULTILINE)
    assert set(what_runs) == {"process", *SERVICES, "NATS"}
    deploying = (ROOT / "deploy/README.md").read_text()
    told = re.search(r"its argument is the service: (.*) \|", deploying)
    assert told is not None
    assert set(re.findall(r"`(\w+)`", told[1])) == SERVICES


def test_operators_make_and_wait_for_all_that_is_deployed() -> None:
    manifests = "".join(path.read_text() for path in (ROOT / "deploy/k8s/base").glob("*.yaml"))
    deployments = set(re.findall(r"^kind: Deployment\nmetadata:\n  name: (\w+)$", manifests, re.MULTILINE))
    manual = (ROOT / "docs/operations.md").read_text()
    waits = re.findall(r"for service in ([\w ]+); do", manual)
    assert waits
    assert {frozenset(wait.split()) for wait in waits} == {frozenset(deployments)}
    on_a_laptop = _section(manual, "On a laptop", level=3)
    optional = {"tieline-turn", "gateway-tls"}
    for secret in set(re.findall(r"secretName: ([\w-]+)", manifests)) - optional:
        assert secret in on_a_laptop


def _section(page: str, title: str, level: int = 2) -> str:
    return page.split(f"\n{'#' * level} {title}\n", 1)[1].split("\n## ", 1)[0]
