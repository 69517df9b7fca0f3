"""The module order, who may know which outside world, sizes, and what lies where: section 4 of the design."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "qrt_runner"
FILES = sorted(PACKAGE.rglob("*.py"))

ORDER = (
    "errors",
    "postponing",
    "commands",
    "config",
    "guide",
    "noise",
    "price",
    "results",
    "digits",
    "circuits",
    "backends",
    "transpilation",
    "mitigation",
    "modes",
    "sessions",
    "plan",
    "journal",
    "execution",
    "analysis",
    "plots",
    "reports",
    "tracking",
    "runner",
    "display",
    "launcher",
    "shell",
    "offered",
    "api",
    "__main__",
    "rehearsal",
)
"""A module imports only from those before it; `backends` alone starts the rehearsal, in a process of its own."""

PLATFORM = {"circuits", "backends", "transpilation", "mitigation", "modes", "plan", "execution", "analysis"}
KNOWN_BY = {
    "hydra": {"__main__", "launcher"},
    "omegaconf": {"__main__", "launcher"},
    # circuits, backends and mitigation put our words in front of pydantic's verdict
    "pydantic": {"config", "circuits", "backends", "mitigation", "rehearsal"},
    "pydantic_core": {"config", "circuits", "mitigation"},
    "qiskit": PLATFORM | {"rehearsal"},
    "qiskit_aer": {"backends", "modes", "rehearsal"},  # raw mode lets Aer bind the parameters
    "qiskit_ibm_runtime": {"backends", "mitigation", "modes", "sessions", "rehearsal"},
    "starlette": {"rehearsal"},
    "uvicorn": {"rehearsal"},
    "ibm_quantum_schemas": {"rehearsal"},
    "ibm_cloud_sdk_core": {"backends"},
    "mlflow": {"tracking"},
    "mthree": {"plan", "analysis"},
    "sqlalchemy": {"tracking"},
    "sqlite3": {"journal", "rehearsal", "tracking"},
    "matplotlib": {"plots"},
    "jinja2": {"reports"},
    "rich": {"runner", "display"},
}
"""Who may import which outside world, from the table's last column; `the above` passes what is above on."""

TOP_LEVEL = {"pyproject.toml", "conf", "qrt_runner", "circuits", "tests", "README.md", "Makefile", "LICENSE"}
TOP_LEVEL |= {"CHANGELOG.md"}


@dataclass(frozen=True)
class Import:
    """One imported name, wherever in a file it is imported."""

    file: Path
    line: int
    module: str

    @property
    def top(self) -> str:
        """Return the outermost package."""
        return self.module.partition(".")[0]

    @property
    def own(self) -> str:
        """Return the module of the design that an import from our own package is about."""
        return [*self.module.split("."), ""][1]

    def __str__(self) -> str:
        """Show where it stands."""
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def module_of(file: Path) -> str:
    """Return the design's name of the module that a file belongs to; empty for the package itself."""
    first = file.relative_to(PACKAGE).parts[0]
    name = first.removesuffix(".py")
    return "" if name == "__init__" else name


@cache
def tree_of(file: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imports_of(file: Path) -> Iterator[Import]:
    """Give every import of a file: at module level, inside functions and for type checking."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            assert node.module is not None
            for alias in node.names:
                yield Import(file, node.lineno, f"{node.module}.{alias.name}")


IMPORTS = [found for file in FILES for found in imports_of(file)]


def repository_files() -> list[Path]:
    """Return the files of the repository, those not yet added included; ignored ones are none of it."""
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(line, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def longest_without_docstrings(file: Path) -> list[tuple[str, int]]:
    """Return name and number of lines of every function of a file, docstrings not counted."""
    functions = [node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, lines_of(node) - docstring_lines(node)) for node in functions]


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function takes, its decorators left out."""
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def docstring_lines(node: ast.AST) -> int:
    """Return how many lines the strings take that document a module, class or function, or a field of it."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    texts = [item.value for item in node.body if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)]
    return sum((text.end_lineno or 0) - text.lineno + 1 for text in texts if isinstance(text.value, str))


def test_every_module_has_a_place_in_the_order() -> None:
    """What is not in the design's list is not in the package."""
    assert {module_of(file) for file in FILES} <= {*ORDER, ""}


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_those_above_it(module: str) -> None:
    """At module level, inside functions and for type checking alike."""
    allowed = {*ORDER[: ORDER.index(module) + 1], "SHIPPED", "__version__", ""}
    allowed |= {"rehearsal"} if module == "backends" else set()
    own = [found for found in IMPORTS if found.top == "qrt_runner" and module_of(found.file) == module]
    assert [str(found) for found in own if found.own not in allowed] == []


@pytest.mark.parametrize("world", KNOWN_BY)
def test_an_outside_world_is_known_to_its_owners_only(world: str) -> None:
    """The last column of the design's table."""
    found = [found for found in IMPORTS if found.top == world and module_of(found.file) not in KNOWN_BY[world]]
    assert [str(item) for item in found] == []


def test_errors_and_the_package_itself_know_the_standard_library_only() -> None:
    """Whoever imports them pays nothing."""
    found = [item for item in IMPORTS if module_of(item.file) in ("", "errors")]
    assert [str(item) for item in found if item.top not in sys.stdlib_module_names] == []


def test_config_knows_pydantic_and_results_know_numpy_only() -> None:
    """Beside the standard library and the modules above."""
    known = {"config": "pydantic", "results": "numpy"}
    found = [item for item in IMPORTS if module_of(item.file) in known and item.top not in sys.stdlib_module_names]
    outside = [item for item in found if item.top not in ("qrt_runner", "pydantic_core", known[module_of(item.file)])]
    assert [str(item) for item in outside] == []


def test_the_journal_knows_sqlite_and_locks_only() -> None:
    """It is read by commands that need neither circuits nor a service."""
    found = [item for item in IMPORTS if module_of(item.file) == "journal" and item.top not in sys.stdlib_module_names]
    assert {item.top for item in found} <= {"filelock", "qrt_runner"}
    assert {item.own for item in found if item.top == "qrt_runner"} <= {"errors", "journal", "results"}


def test_only_backends_opens_the_service() -> None:
    """`QiskitRuntimeService` resolves credentials by itself, so whoever makes one reads credentials."""
    found = [item for item in IMPORTS if item.module.endswith(".QiskitRuntimeService")]
    assert {module_of(item.file) for item in found} == {"backends"}


def test_credentials_are_read_by_backends_only() -> None:
    """No other module looks up `QISKIT_IBM_*`; `config/secrets.py` does, to refuse a token that leaked."""
    readers = {file for file in FILES if any(name.startswith("QISKIT_IBM_") for name in looked_up(file))}
    others = {str(file.relative_to(PACKAGE)) for file in readers if module_of(file) != "backends"}
    assert others <= {"config/secrets.py"}


def looked_up(file: Path) -> Iterator[str]:
    """Give the names of the environment variables that a file looks up, also by way of a constant of its own."""
    constants = {
        target.id: ast.unparse(node.value).strip("'")
        for node in tree_of(file).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree_of(file)):
        if not isinstance(node, ast.Call | ast.Subscript) or not re.match(
            r"(os\.)?(environ|getenv)", ast.unparse(node)
        ):
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.value
            elif isinstance(inner, ast.Name):
                yield constants.get(inner.id, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_stays_under_250_lines(file: Path) -> None:
    """Docstrings not counted; what outgrows that becomes a folder of the same name."""
    documented = sum(docstring_lines(node) for node in ast.walk(tree_of(file)))
    assert len(file.read_text(encoding="utf-8").splitlines()) - documented <= 250


def test_a_function_stays_under_40_lines() -> None:
    """Docstring not counted."""
    long = [(file.name, *found) for file in FILES for found in longest_without_docstrings(file) if found[1] > 40]
    assert long == []


def test_every_module_says_its_purpose() -> None:
    """A module's docstring starts with a sentence, or goes on to what it may not know."""
    assert [str(file) for file in FILES if not (ast.get_docstring(tree_of(file)) or "").split("\n")[0]] == []


def test_the_top_level_holds_exactly_what_the_design_says() -> None:
    """Beside dot-files."""
    entries = {path.relative_to(ROOT).parts[0] for path in repository_files()}
    assert {entry for entry in entries if not entry.startswith(".")} == TOP_LEVEL


def test_no_file_holds_a_path_of_a_machine() -> None:
    """Home folders and work folders are somebody's own."""
    somebodys = re.compile(r"(?<![\w.$}])/(home|root|Users|work|mnt|tmp/dev)/[\w.]|\b[A-Z]:\\\\?(Users|home)", re.ASCII)
    assert told_where(somebodys) == []


def test_no_file_holds_the_address_of_a_registry() -> None:
    """Where packages are fetched from is the machine's own setting."""
    registry = re.compile(
        r"https?://[^\s'\"]*(pypi|artifactory|nexus|registry|/simple\b)|--(extra-)?index-url|--find-links|--trusted-host"
    )
    assert told_where(registry) == []


def told_where(pattern: re.Pattern[str]) -> list[str]:
    """Return file and line of every match in the repository's text files, this one left out."""
    found = []
    for path in repository_files():
        if path == Path(__file__) or b"\0" in (content := path.read_bytes()):
            continue
        lines = content.decode("utf-8").splitlines()
        found += [f"{path.relative_to(ROOT)}:{place}" for place, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def test_importing_the_package_imports_nothing_heavy() -> None:
    """Hydra, qiskit, MLflow and pydantic come in when they are needed."""
    heavy = {"hydra", "omegaconf", "qiskit", "qiskit_aer", "qiskit_ibm_runtime", "mlflow", "pydantic", "numpy"}
    line = [sys.executable, "-c", f"import sys, qrt_runner; print(sorted({heavy} & set(sys.modules)))"]
    done = subprocess.run(line, capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
