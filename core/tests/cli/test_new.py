"""`new provider` writes a package that is complete, and overwrites nothing."""

from __future__ import annotations

import ast
import tomllib

import pytest

from tocsin._cli import _new

NAMES = ["gotify", "x", "my-pager", "none", "class-var", "http", "import", "a1-2b"]


def written(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", [*NAMES, "test-board", "abcdefgh-ijklmnop-qrstuv"])
def test_a_package_is_written(name, cli, tmp_path):
    """Whatever the name, there is a package, its entry point, and nothing left to fill in."""
    result = cli("new", "provider", name, "--directory", tmp_path / "new")

    assert result.exit_code == 0, result.output
    module = name.replace("-", "_")
    files = written(tmp_path / "new" / f"tocsin-{name}")
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["entry-points"]["tocsin"] == {name: f"tocsin_{module}"}
    assert set(files) == {
        *(".gitignore", "LICENSE", "README.md", "pyproject.toml"),
        *(f"tests/{module}.json", f"tests/test_{module}.py"),
        f"src/tocsin_{module}/__init__.py",
        *(f"src/tocsin_{module}/py.typed", f"src/tocsin_{module}/testing.py"),
    }
    for path, text in files.items():
        assert "«" not in text
        if path.endswith(".py"):
            ast.parse(text)
            assert all(len(line) <= 88 for line in text.splitlines())


def test_what_to_do_next(cli, tmp_path):
    """Whoever has it written is told how it is tried, and where to go on."""
    told = cli("new", "provider", "gotify", "--directory", tmp_path).stdout

    for words in (
        f"{tmp_path}/tocsin-gotify",
        "pip install -e '.[testing]'",
        "src/tocsin_gotify/__init__.py",
        "tocsin connect gotify",
    ):
        assert words in told


def test_a_folder_with_a_space_is_told_as_a_shell_reads_it(cli, tmp_path):
    told = cli("new", "provider", "gotify", "--directory", tmp_path / "my own").stdout

    assert f"cd '{tmp_path}/my own/tocsin-gotify'" in told


def test_here_is_where_it_is_written(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    cli("-q", "new", "provider", "gotify")

    assert (tmp_path / "tocsin-gotify" / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Gotify", "; gotify, perhaps"),
        ("my_pager", "; my-pager, perhaps"),
        ("my pager!", "; my-pager, perhaps"),
        ("-x", "Error"),
        ("3cx", "a letter first"),
        ("ünï", "ASCII"),
        ("", "no name"),
        ("../evil", "; evil, perhaps"),
        ("a\nb", "; a-b, perhaps"),
        ("a--b", "; a-b, perhaps"),
        ("a" * 25, "up to 24"),
        ("tocsin-gotify", "leave out tocsin-"),
        ("tocsin", "leave out tocsin-"),
        ("Tocsin-Gotify", "; gotify, perhaps"),
        ("lines", "post, which is installed here, offers a provider 'lines'"),
    ],
)
def test_names_that_no_provider_can_have(name, said, cli, tmp_path):
    """It is told what is wrong, and nothing is written."""
    result = cli("new", "provider", "--directory", tmp_path / "new", "--", name)

    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_not_touched(kind, cli, tmp_path):
    """Not even an empty folder, or a link to nowhere."""
    place = tmp_path / "tocsin-gotify"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")

    result = cli("new", "provider", "gotify", "--directory", tmp_path)

    assert result.exit_code == 2
    assert "already" in result.stderr
    assert not (tmp_path / "nowhere").exists()
    assert kind != "file" or place.read_text() == "mine"
    assert kind != "folder" or not list(place.iterdir())


def test_a_folder_that_cannot_be_made(cli, tmp_path):
    (tmp_path / "file").write_text("")

    result = cli("new", "provider", "gotify", "--directory", tmp_path / "file" / "deep")

    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("version", "versions"),
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.12.3", ">=0.12,<0.13"),
        ("1.0.0", ">=1.0,<2"),
        ("2.7.1", ">=2.7,<3"),
        ("1.0rc1", ">=1.0rc1,<2"),
    ],
)
def test_the_versions_that_it_works_with(version, versions):
    """Up to the next that may break things: a minor before 1.0, a major after it."""
    assert _new.compatible(version) == versions


def test_a_provider_is_one_short_module(cli, tmp_path):
    """What has to be read first is short."""
    cli("new", "provider", "gotify", "--directory", tmp_path)

    (file,) = tmp_path.glob("tocsin-gotify/src/*/__init__.py")
    code = [line for line in file.read_text().splitlines() if line.strip()]
    assert len(code) <= 55
