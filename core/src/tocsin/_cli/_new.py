"""`new provider`: writes the package of a provider, which works and passes its tests."""

from __future__ import annotations

import os
import re
import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from tocsin._cli._invocation import Command, Group, Invocation
from tocsin._cli._mistakes import Failure, Mistake
from tocsin._cli._screen import GOOD, grid, line, remedy_line, stacked

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 24  # letters of a name: lines that have it twice are within 88 columns
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = re.compile("ClassVar|False|None|True|Test.*")  # pytest collects what is Test…
_FILES = {
    ".gitignore": "gitignore",
    "LICENSE": "LICENSE",
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "src/«package»/__init__.py": "provider",
    "src/«package»/py.typed": "py.typed",
    "src/«package»/testing.py": "double",
    "tests/«module».json": "golden",
    "tests/test_«module».py": "test",
}
"""Where a file goes -> the file in the folder `_new_provider` that it is made of."""


@attrs.frozen
class NewProvider:
    """The names of a provider that is to be written."""

    name: str

    @property
    def dist(self) -> str:
        """The package's name in the index, and the folder's."""
        return f"tocsin-{self.name}"

    @property
    def module(self) -> str:
        """The name, as Python writes it."""
        return self.name.replace("-", "_")

    @property
    def cls(self) -> str:
        """The name of the class."""
        joined = "".join(word.capitalize() for word in self.name.split("-"))
        return f"Tocsin{joined}" if _TAKEN.fullmatch(joined) else joined

    def files(self) -> dict[str, str]:
        """Return the files of the package, by their paths in its folder."""
        return {self._filled(path): self._text(kind) for path, kind in _FILES.items()}

    def _text(self, kind: str) -> str:
        source = resources.files("tocsin._cli") / "_new_provider" / f"{kind}.txt"
        return self._filled(source.read_text(encoding="utf-8"))

    def _filled(self, text: str) -> str:
        import tocsin

        words = {
            "name": self.name,
            "dist": self.dist,
            "module": self.module,
            "package": f"tocsin_{self.module}",
            "Class": self.cls,
            "Name": " ".join(word.capitalize() for word in self.name.split("-")),
            "variable": self.module.upper(),
            "versions": compatible(str(tocsin.__version__)),
        }
        for word, value in words.items():
            text = text.replace(f"«{word}»", value)
        return text


@click.group(cls=Group, short_help="Write a package of your own: a provider.")
def new() -> None:
    """Write a package of your own, to go on from."""


@new.command(cls=Command, short_help="Write a provider's package.")
@click.argument("name")
@click.option(
    "--directory",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder to write tocsin-NAME into; default: this one.",
)
@click.pass_obj
def provider(invocation: Invocation, *, name: str, directory: Path) -> None:
    """Write tocsin-NAME: a provider of an HTTP service, a double of that, and its tests.

    It works as it is, with a service that takes JSON. NAME is what a channel says, as in
    provider = "NAME". Nothing that is there is overwritten.
    """
    check_name(name)
    made = NewProvider(name)
    folder = directory / made.dist
    write(folder, made.files())
    _tell(folder, made, invocation)


def check_name(name: str) -> None:
    """See to it that a provider can have this name.

    Raises:
        Mistake: It cannot.

    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise Mistake(
            f"{name!r} is no name for a provider: up to {_LONGEST} small ASCII letters and "
            f"digits, a letter first, words joined by -{_proposal(name)}"
        )
    if name == "tocsin" or name.startswith("tocsin-"):
        raise Mistake(
            f"{name!r} would make the package tocsin-{name}: leave out tocsin-"
        )
    if owner := _owner(name):
        raise Mistake(
            f"{owner}, which is installed here, offers a provider {name!r}: choose another "
            "name, for a configuration could not tell them apart"
        )


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder that is not there yet.

    Raises:
        Mistake: Something is there.
        Failure: It cannot be written.

    """
    if os.path.lexists(folder):
        raise Mistake(
            f"there is a {folder} already: remove it, or choose --directory FOLDER"
        )
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error}") from error


def compatible(version: str) -> str:
    """Return the versions of Tocsin that what is written with this one works with.

    Before 1.0 a minor version may break things; after it, a major one.
    """
    major, minor, *_ = version.split(".")
    end = f"0.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}"
    return f">={major}.{minor},<{end}"


def _proposal(name: str) -> str:
    bare = name.lower().removeprefix("tocsin")
    proposed = re.sub(r"[^a-z0-9]+", "-", bare).strip("-")
    fits = _NAME.fullmatch(proposed) and len(proposed) <= _LONGEST
    return f"; {proposed}, perhaps" if fits else ""


def _owner(name: str) -> str:
    from tocsin import _plugins as plugins

    owners = (offer.distribution for offer in plugins.offers() if offer.name == name)
    return next(owners, "")


def _tell(folder: Path, made: NewProvider, invocation: Invocation) -> None:
    said = [line(f"{made.dist} is written: {folder}")]
    said += [remedy_line(step) for step in _steps(folder, made)]
    invocation.screen.tell(grid([(GOOD, stacked(said))]))


def _steps(folder: Path, made: NewProvider) -> Iterator[str]:
    yield f"cd {shlex.quote(str(folder))}; python -m pip install -e '.[testing]'; python -m pytest"
    yield f"make it speak to your service: src/tocsin_{made.module}/__init__.py"
    yield f"and its double, in testing.py beside it; tocsin connect {made.name} tries it out"
