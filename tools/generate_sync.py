"""Write the blocking half of the API from its asyncio half: `make generate`; `--check` in CI.

`src/purevirt/api/_async/*.py` is written by hand; `_sync/` is derived by these rules and never edited:

- `async def`, `async with`, `async for` become their plain forms; `await` of a function or method that the same
  module defines is dropped, any other `await X` becomes `run_blocking(X)`;
- a name that begins with `Async` loses it, dunder methods lose their `a` (`__aenter__` → `__enter__`);
- the string "aio" (the mode handed to the drivers) becomes "blocking", modules `.aio` become `.blocking`, and
  `_async` becomes `_sync`.

Docstrings may name either half: in them `await ` is dropped and the same names are replaced.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/purevirt/api/_async"
TARGET = ROOT / "src/purevirt/api/_sync"
HEADER = "# Generated from {} by tools/generate_sync.py: never edit this file, run `make generate`.\n"

NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "open_async": "open",
    "open_async_read_only": "open_read_only",
    "aclose": "close",
    "asynccontextmanager": "contextmanager",
    "anext": "next",
    "aiter": "iter",
}


def rename(name: str) -> str:
    """The blocking half's word for a name of the asyncio half."""
    if name in NAMES:
        return NAMES[name]
    return re.sub(r"^(_?)Async(?=[A-Z])", r"\1", name)


def rewrite_text(text: str) -> str:
    """A docstring, moved to the blocking half."""
    text = re.sub(r"\bawait ", "", text)
    text = re.sub(r"\basync (def|with|for)\b", r"\1", text)
    return re.sub(r"\b_?[A-Za-z]\w*\b", lambda found: rename(found.group()), text)


class Rules(ast.NodeTransformer):
    """The rules above, node by node."""

    def __init__(self, tree: ast.Module) -> None:
        self.awaits = 0
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
        self.own_functions = {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
        self.own_methods = {node.name for node in functions} - self.own_functions

    def is_own(self, value: ast.expr) -> bool:
        """Whether this is a call of what the module itself defines, plain after the transformation."""
        if not isinstance(value, ast.Call):
            return False
        called = value.func
        if isinstance(called, ast.Name):
            return called.id in self.own_functions
        on_self = (
            isinstance(called, ast.Attribute)
            and isinstance(called.value, ast.Name)
            and called.value.id == "self"
        )
        return on_self and isinstance(called, ast.Attribute) and called.attr in self.own_methods

    def visit_Await(self, node: ast.Await) -> ast.AST:
        own = self.is_own(node.value)
        inner = self.visit(node.value)
        if own:
            assert isinstance(inner, ast.AST)
            return inner
        self.awaits += 1
        return ast.Call(func=ast.Name(id="run_blocking", ctx=ast.Load()), args=[inner], keywords=[])

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        plain = ast.FunctionDef(node.name, node.args, node.body, node.decorator_list, node.returns)
        return self.visit_FunctionDef(ast.copy_location(plain, node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = rename(node.name)
        self.generic_visit(node)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.With(items=node.items, body=node.body), node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(
            ast.For(target=node.target, iter=node.iter, body=node.body, orelse=node.orelse), node
        )

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.is_async = 0
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = rename(node.name)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = rename(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = rename(node.attr)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        module = (node.module or "").replace("api._async", "api._sync")
        if module.endswith(".aio"):
            module = module.removesuffix(".aio") + ".blocking"
        node.module = module
        for alias in node.names:
            alias.name = "blocking" if alias.name == "aio" else rename(alias.name)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if node.value == "aio":
            node.value = "blocking"
        elif isinstance(node.value, str):
            node.value = rewrite_text(node.value)
        return node


def generate(source: Path) -> str:
    """The text of the blocking half of one module, before formatting."""
    tree = ast.parse(source.read_text())
    rules = Rules(tree)
    tree = ast.fix_missing_locations(rules.visit(tree))
    if rules.awaits:
        place = 1 + next(
            index
            for index, node in enumerate(tree.body)
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        )
        tree.body.insert(place, ast.parse("from purevirt._run import run_blocking").body[0])
    return HEADER.format(f"_async/{source.name}") + ast.unparse(tree) + "\n"


def ruff(*arguments: str, text: str, name: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", name, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"ruff {arguments[0]} on the generated {name}:\n{done.stdout}{done.stderr}")
    return done.stdout


def formatted(text: str, name: str) -> str:
    """As ruff leaves it: imports sorted, then formatted."""
    text = ruff("check", "--quiet", "--select", "I,F401", "--fix", text=text, name=name)
    return ruff("format", text=text, name=name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is not fresh")
    options = parser.parse_args()
    stale: list[str] = []
    wanted: set[Path] = set()
    for source in sorted(SOURCE.glob("*.py")):
        target = TARGET / source.name
        wanted.add(target)
        text = formatted(generate(source), str(target))
        if not target.exists() or target.read_text() != text:
            stale.append(str(target.relative_to(ROOT)))
            if not options.check:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
    for target in sorted(set(TARGET.glob("*.py")) - wanted):
        stale.append(f"{target.relative_to(ROOT)} (has no source)")
        if not options.check:
            target.unlink()
    for name in stale:
        print(("stale: " if options.check else "wrote: ") + name)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
