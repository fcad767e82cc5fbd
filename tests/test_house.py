"""The house rules: who imports whom, where protobuf ends, fresh stubs, nothing of a machine or a registry in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "proto": set(),
    "devices": set(),
    "security": {"proto"},
    "edge": {"devices", "security", "proto"},
    "hub": {"security", "proto"},
}
OURS = {*MAY_IMPORT, "deploy", "tests"}
AT_THE_WIRE = {
    "security/record.py", "security/invitations.py",
    "edge/wire.py", "edge/channel.py", "edge/attachments/wire.py", "edge/enrol.py", "edge/rejoin_wire.py", "edge/renewal_wire.py",
    "edge/resources.py", "edge/catalogue.py", "edge/downlink.py", "edge/equipment/device_list.py",
    "hub/ledger/wire.py", "hub/resources/wire.py", "hub/resources/payload.py", "hub/services/wire.py", "hub/fleet/device_list.py",
    "hub/enrolment/service.py", "hub/sync_service.py", "hub/attachments/wire.py", "hub/assembly.py",
}
# From a thread, or from the sending half of a stream, to the caller, who sees them raised.
CARRIES_ERRORS = {"devices/sdk_thread.py", "edge/uplink.py",
                  # a bug in one driver takes no other device down
                  "edge/equipment/device.py", "edge/equipment/containment.py", "edge/equipment/listed_source.py",
                  "edge/door/window.py"}  # nor other commands of the window that uses it
BROAD = {"Exception", "BaseException", "everything"}
NO_NOUNS = {"utils", "util", "helpers", "common", "base", "manager", "managers", "misc"}


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def _sources() -> list[Path]:
    return [path for path in _tracked("*.py") if "_pb2" not in path.name]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_each_package_imports_only_what_it_may(package: str) -> None:
    for path in _sources():
        if path.relative_to(ROOT).parts[0] == package:
            ours = {name.split(".")[0] for name in _imports(path)} & OURS
            assert ours <= MAY_IMPORT[package] | {package}, path


def test_only_files_at_the_wire_see_protobuf_types() -> None:
    seeing = {str(path.relative_to(ROOT)) for path in _sources()
              if path.relative_to(ROOT).parts[0] in MAY_IMPORT and any("_pb2" in name for name in _imports(path))}
    assert seeing <= AT_THE_WIRE
    assert AT_THE_WIRE - {"hub/assembly.py"} <= seeing | {"hub/assembly.py"}, "the list names files that see none"


def test_every_module_is_named_by_a_noun_of_its_own() -> None:
    assert [path for path in _sources() if path.stem in NO_NOUNS] == []


def test_no_broad_except_hides_a_bug() -> None:
    for path in _sources():
        if path.relative_to(ROOT).parts[0] in MAY_IMPORT and str(path.relative_to(ROOT)) not in CARRIES_ERRORS:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
                    caught = ast.unparse(node.type) if node.type else "everything"
                    assert caught not in BROAD, f"{path}:{node.lineno}"


def test_every_broad_except_says_why() -> None:
    for path in _sources():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in BROAD):
                assert " # " in lines[node.lineno - 1], f"{path}:{node.lineno}"


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def test_the_generated_stubs_are_fresh(tmp_path: Path) -> None:
    protos = [str(path.relative_to(ROOT)) for path in _tracked("proto/*.proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}",
                    f"--pyi_out={tmp_path}", f"--grpc_python_out={tmp_path}", *protos], cwd=ROOT, check=True)
    made = sorted((tmp_path / "proto").iterdir())
    assert made
    for file in made:
        assert file.read_bytes() == (ROOT / "proto" / file.name).read_bytes(), f"{file.name}: run make proto"


def test_no_registry_address_and_no_machines_path_is_committed() -> None:
    registry = re.compile(r"https?://[^ \"]*(pypi|pythonhosted|npmjs|debian|crates)")
    machine = re.compile(r"(^|[^A-Za-z0-9_.])/(work|root|farm)/")
    for path in _tracked():
        if path.suffix == ".zstd-dictionary" or path.name in {"test_house.py", "LICENSE"}:
            continue
        text = path.read_text(encoding="utf-8")
        assert not registry.search(text), path
        assert not machine.search(text), path


def test_requirements_are_hashed() -> None:
    files = _tracked("requirements/*.txt")
    assert len(files) >= 4
    for path in files:
        packages = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"[a-zA-Z0-9]", line)]
        assert packages
        assert all("==" in line and line.endswith("\\") for line in packages)


def test_the_architecture_stays_one_page() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 70


def test_both_readmes_give_the_same_commands_and_pointers() -> None:
    def told(name: str) -> tuple[list[str], set[str]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        lines = [line for block in text.split("```")[1::2] for line in block.splitlines()]
        commands = [re.sub(r"\s+#.*", "", line) for line in lines if not line.startswith("#")]
        return commands, set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh-CN.md"}

    assert told("README.md") == told("README.zh-CN.md")


def test_every_refusal_of_the_door_is_in_its_document() -> None:
    codes: set[str] = set()
    for path in _tracked("edge/door/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"answer", "DoorError"}:
                codes |= {code.value for code in node.args[1:2] if isinstance(code, ast.Constant)}
    text = (ROOT / "docs/counter-api.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    assert codes == {code for line in table for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", line)}
