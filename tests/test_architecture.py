"""The house rules that a machine can hold: who may import whom, how long a file may be, and what no source may use."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ostinato"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
PICKLES = {"pickle", "allow_pickle", "cPickle", "dill", "joblib"}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
FILLS = {"normal_", "uniform_", "random_", "bernoulli_", "exponential_", "cauchy_", "geometric_", "log_normal_"}
SEEDED = {"default_rng", "Generator", "SeedSequence", "Philox", "PCG64"}


def name_of(path: Path) -> str:
    """`nn/attend` for the file src/ostinato/nn/attend.py; a package goes by the name of its folder."""
    inside = path.relative_to(PACKAGE).with_suffix("")
    return (inside.parent if inside.name == "__init__" else inside).as_posix()


MODULES = {name_of(path): path for path in FILES}
INNER = sorted(set(MODULES) - {"."})


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def layers() -> list[list[str]]:
    """The patterns of module names in each layer, lowest first, as docs/design.md lists them."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    return [line.split()[2:] for line in re.findall(r"^L\d .*$", text, flags=re.MULTILINE)]


def layer(module: str) -> int | None:
    """The layer that lists the module; `nn/*` lists every module of the folder, and the folder itself."""
    for number, patterns in enumerate(layers()):
        if any(fnmatchcase(module, pattern) or pattern == f"{module}/*" for pattern in patterns):
            return number
    return None


def imports(module: str, *, everywhere: bool) -> set[str]:
    """Modules of the package that a module imports: at the top of the file, or anywhere in it."""
    nodes = ast.walk(tree(MODULES[module])) if everywhere else iter(tree(MODULES[module]).body)
    package = PACKAGE / module if MODULES[module].name == "__init__.py" else MODULES[module].parent
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("ostinato.").replace(".", "/") for a in node.names if "ostinato." in a.name}
        if isinstance(node, ast.ImportFrom):
            found |= _imported(node, package)
    return found - {module}


def ran(module: str) -> set[str]:
    """Modules that run before a module has run: those that it imports, and the packages that these are in."""
    needs = imports(module, everywhere=False)
    packages = {parent.as_posix() for each in needs for parent in Path(each).parents if parent != Path()}
    return needs | {each for each in packages if not f"{module}/".startswith(f"{each}/")}


def _imported(node: ast.ImportFrom, package: Path) -> set[str]:
    if node.level == 0:
        if (node.module or "").split(".")[0] != "ostinato":
            return set()
        base = PACKAGE.joinpath(*(node.module or "").split(".")[1:])
    else:
        base = package.joinpath(*[".."] * (node.level - 1), *(node.module or "").split(".")).resolve()
    own = base.relative_to(PACKAGE).as_posix()
    inside = {f"{own}/{alias.name}".removeprefix("./") for alias in node.names}
    return (inside & set(MODULES)) or {own}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Each call in a file with its dotted name, such as `torch.load`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and re.fullmatch(r"[\w.]+", name := ast.unparse(node.func)):
            yield name, node


def words(path: Path) -> set[str]:
    """The names in a file's code; not those in its comments and texts."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_the_layers_are_listed_from_words_to_doors():
    assert len(layers()) == 5
    assert [layer(module) for module in ("config", "masks", "lm", "nn/attend", "prompts", "cli")] == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("module", INNER)
def test_every_module_has_its_layer(module: str):
    assert layer(module) is not None, f"{module} is in no layer of docs/design.md"


@pytest.mark.parametrize("module", INNER)
def test_imports_never_go_up(module: str):
    for other in imports(module, everywhere=True):
        assert other in MODULES, f"{module} imports {other}, which does not exist"
        assert other != ".", f"{module} imports the package that it is in"
        assert (layer(other) or 0) <= (layer(module) or 0), f"{module} imports {other}, which is in a higher layer"


def test_imports_never_go_round():
    graph = {module: ran(module) for module in INNER}
    while leaves := {module for module, needs in graph.items() if not needs & set(graph)}:
        graph = {module: needs for module, needs in graph.items() if module not in leaves}
    assert not graph, f"these import each other: {', '.join(graph)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_says_what_it_is(path: Path):
    assert path.stat().st_size == 0 or ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_pickled(path: Path):
    assert not words(path) & PICKLES
    loads = [node for name, node in calls(path) if name == "torch.load"]
    if not name_of(path).startswith("interop"):
        assert not loads, "torch.load reads pickles; only interop/ may, and only weights"
    for node in loads:
        assert "weights_only=True" in [ast.unparse(keyword) for keyword in node.keywords]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_printed(path: Path):
    assert "print" not in {name for name, _ in calls(path)}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_chance_is_an_argument(path: Path):
    assert not re.search(r"^\s*(import random\b|from random import)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not list(global_chance(tree(path)))


def global_chance(module: ast.Module) -> Iterator[str]:
    """Calls that draw from, or seed, a global generator.

    The first values of a network's parameters are excepted, for torch's layers draw theirs so: what is inside
    `nn.Parameter(...)` or `nn.init`, and a seed that `fork_rng` keeps from leaking.
    """
    excepted: set[ast.AST] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("nn.Parameter"):
            excepted |= set(ast.walk(node))
        if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0]):
            excepted |= set(ast.walk(node))
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node not in excepted and _draws(node):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _draws(node: ast.Call) -> bool:
    owner, _, name = ast.unparse(node.func).rpartition(".")
    if any(keyword.arg == "generator" for keyword in node.keywords):
        return False
    if owner in ("np.random", "numpy.random"):
        return name not in SEEDED
    if name in ("manual_seed", "manual_seed_all", "seed"):
        return owner in ("torch", "torch.random", "torch.cuda")
    return (owner == "torch" and name in DRAWS) or (name in FILLS and not owner.endswith("init"))


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("torch.manual_seed(1)", True),
        ("torch.cuda.manual_seed_all(1)", True),
        ("torch.Generator().manual_seed(1)", False),
        ("with torch.random.fork_rng():\n    torch.manual_seed(1)", False),
        ("x = torch.randn(3)", True),
        ("x = torch.randn(3, generator=g)", False),
        ("x = nn.Parameter(torch.randn(3))", False),
        ("x.normal_()", True),
        ("x.normal_(generator=g)", False),
        ("nn.init.normal_(x)", False),
        ("np.random.seed(3)", True),
        ("np.random.rand(3)", True),
        ("np.random.default_rng(3)", False),
        ("np.random.Generator(np.random.Philox(3))", False),
    ],
)
def test_global_chance_is_recognised(source: str, caught: bool):
    assert bool(list(global_chance(ast.parse(source)))) == caught


def test_imports_are_recognised():
    assert imports("nn/transformer", everywhere=False) == {"nn/attend", "nn/lower"}
    assert {"errors", "clip", "registry"} <= imports("prompts", everywhere=False)
    assert "prompts" in imports(".", everywhere=False)
