"""Sessions: `nox -s tests`, `lint`, `typing`, `docs`, `build`, `apprise`, `integrations`, `benchmarks`."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "tests", "docs", "build"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PLUGINS = sorted(str(path.parent) for path in Path().glob("*/*/pyproject.toml"))
PACKAGES = ["core", *PLUGINS]
FRAMEWORKS = ["keras", "lightning", "trackio", "transformers", "wandb"]
INSTALLED = ["./core[cli]", *(f"./{plugin}[testing]" for plugin in PLUGINS)]


def install(session: nox.Session, group: str, *more: str) -> None:
    """Install the packages as wheels, and a dependency group."""
    session.install(*options(session), *more, *requirements(group))


def options(session: nox.Session) -> list[str]:
    """Return how to install: the pinned versions, and our packages as wheels."""
    sources = ["--no-sources"] if session.venv_backend == "uv" else []
    return [*sources, "-c", "constraints.txt"]


def requirements(group: str) -> tuple[str, ...]:
    """Return a dependency group."""
    project = nox.project.load_toml("pyproject.toml")
    return nox.project.dependency_groups(project, group)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the built packages."""
    install(session, "tests", *INSTALLED)
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "typing", *INSTALLED)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs", *INSTALLED)
    shutil.rmtree("docs/_build", ignore_errors=True)
    session.run(
        "sphinx-build", "-nW", "--keep-going", "-b", "html", "docs", "docs/_build/html"
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build every package's wheel and source distribution into dist/."""
    session.install("-c", "constraints.txt", "uv")
    shutil.rmtree("dist", ignore_errors=True)
    for package in PACKAGES:
        session.run("uv", "build", "--out-dir", "dist", package)


@nox.session
@nox.parametrize("framework", FRAMEWORKS)
def integrations(session: nox.Session, framework: str) -> None:
    """Run the tests of an integration against the framework's newest, on the CPU.

    `UV_TORCH_BACKEND=cpu` spares the packages for a GPU.
    """
    pinned = "-c", "constraints.txt"  # would hold a framework at an old version
    newest = [option for option in options(session) if option not in pinned]
    session.install(
        *newest, *INSTALLED, *requirements("tests"), *requirements(framework)
    )
    # alone: where the framework cannot be imported no test is left, and that is an error
    session.run("pytest", f"tests/integrations/test_{framework}.py", *session.posargs)
    session.run("pytest", "tests/integrations/test_modules.py")


@nox.session
def apprise(session: nox.Session) -> None:
    """Run the tests of tocsin-apprise against the oldest Apprise that it takes."""
    pinned = "-c", "constraints.txt"  # holds the newest
    free = [option for option in options(session) if option not in pinned]
    session.install(*free, *INSTALLED, *requirements("tests"), "apprise==1.13.*")
    session.run("pytest", "providers/apprise", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure what an alert costs, beside floors and peers measured in the same run."""
    session.install(*options(session), *INSTALLED)
    for peer in requirements("benchmarks"):  # where one cannot be had, its row says so
        session.install(*options(session), peer, success_codes=[0, 1, 2])
    session.run("python", "benchmarks", *session.posargs)
