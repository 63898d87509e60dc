from __future__ import annotations

import itertools

import pytest

from tocsin import PluginBroken, PluginError, Provider
from tocsin import _plugins as plugins

GOOD = """
import attrs
from tocsin import Provider, hookimpl


@attrs.frozen
class Pager(Provider):
    number: str = ""

    name = "pager"


@hookimpl
def tocsin_register(registrar):
    registrar.provider(Pager)
"""

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _look_anew():
    """What is installed in a test is not there in the next."""
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what installs a distribution of one module that registers names."""

    def install(source, *, names=("pager",), dist="tocsin-pager", metadata=True):
        module = f"installed_{next(_numbers)}"
        folder = tmp_path / module
        info = folder / f"{dist.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        lines = "\n".join(f"{name} = {module}" for name in names)
        (info / "entry_points.txt").write_text(f"[tocsin]\n{lines}\n")
        if metadata:
            text = f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n"
            (info / "METADATA").write_text(text)
        monkeypatch.syspath_prepend(folder)
        return module

    return install


def test_load(install):
    """The class that an installed package registers under a name is found by it."""
    install(GOOD)

    provider = plugins.load("pager")
    assert issubclass(provider, Provider)
    assert provider.name == "pager"


def test_only_what_is_asked_for_is_imported(install):
    """Looking at the offers, or loading one plugin, imports no other."""
    install("raise RuntimeError('imported')", names=["bad"], dist="tocsin-bad")
    install(GOOD)

    offers = [offer for offer in plugins.offers() if offer.name in {"bad", "pager"}]
    assert offers == [
        plugins.Offer("bad", "tocsin-bad", "1.2"),
        plugins.Offer("pager", "tocsin-pager", "1.2"),
    ]
    assert plugins.load("pager").name == "pager"


def test_offers_are_sorted(install):
    """Offers come by name, whatever was installed first."""
    install(GOOD, names=["zz-pager", "aa-pager", "mm-pager"])

    names = [offer.name for offer in plugins.offers()]
    assert names == sorted(names)
    assert {"aa-pager", "mm-pager", "zz-pager"} <= set(names)


def test_not_installed():
    """A name that nobody registers comes with the line that may install it."""
    with pytest.raises(PluginError) as caught:
        plugins.load("carrierpigeon")

    assert str(caught.value) == (
        "no provider 'carrierpigeon' is installed: pip install tocsin-carrierpigeon"
    )
    assert not isinstance(caught.value, PluginBroken)


def test_misspelt_name(install):
    """A name that is nearly an installed one comes with that."""
    install(GOOD)

    with pytest.raises(
        PluginError, match=r"'pagr' is installed: did you mean 'pager'\?"
    ):
        plugins.load("pagr")


def test_installed_while_running(install):
    """In a notebook, what was installed after it was asked for in vain is found."""
    with pytest.raises(PluginError, match="pip install tocsin-beacon"):
        plugins.load("beacon")
    install(GOOD.replace("pager", "beacon"), names=["beacon"])

    assert plugins.load("beacon").name == "beacon"


def test_two_claim_one_name(install):
    """Two distributions with one name are an error that names both; no one wins."""
    install(GOOD, dist="tocsin-pager")
    install(GOOD, dist="other-pager")

    with pytest.raises(PluginError) as caught:
        plugins.load("pager")
    assert str(caught.value) == (
        "the provider 'pager' is registered by other-pager 1.2 and tocsin-pager 1.2: "
        "uninstall one of them"
    )


BROKEN = {
    "an import that fails": (
        "import no_such_module_at_all",
        "No module named 'no_such_module_at_all'",
    ),
    "an import that raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "a syntax error": ("def", "SyntaxError"),
    "an import that exits": ("import sys; sys.exit(3)", "SystemExit"),
    "a misspelt hook": (
        GOOD.replace("tocsin_register", "tocsin_registre"),
        "unknown hook 'tocsin_registre'",
    ),
    "a hook without its mark": (GOOD.replace("@hookimpl", ""), "offers nothing"),
    "a hook that raises": (
        GOOD.replace("registrar.provider(Pager)", "raise OSError('boom')"),
        "OSError: boom",
    ),
    "a hook of another shape": (
        GOOD.replace("(registrar):", "(registrar, config):"),
        "config",
    ),
    "another name": (
        GOOD.replace('name = "pager"', 'name = "beeper"'),
        "offers 'beeper': its provider must bear the entry point's name",
    ),
    "no name": (GOOD.replace('name = "pager"', ""), "name"),
    "no attrs class": (
        GOOD.replace("@attrs.frozen", ""),
        "Pager is no attrs class: @attrs.frozen",
    ),
    "no provider": (
        GOOD.replace("provider(Pager)", "provider(dict)"),
        "does not derive from tocsin.Provider",
    ),
    "an instance": (
        GOOD.replace("provider(Pager)", "provider(Pager())"),
        "TypeError",
    ),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_broken(install, source, reason):
    """A plugin that cannot be used is named with its distribution and with what is wrong."""
    install(source)

    with pytest.raises(PluginBroken) as caught:
        plugins.load("pager")
    assert "'pager' of tocsin-pager 1.2" in str(caught.value)
    assert reason in str(caught.value)


def test_distribution_without_metadata(install):
    """What a broken uninstallation left behind is broken, and stands in nobody's way."""
    install(GOOD, metadata=False, dist="left-over", names=["left"])
    install(GOOD)

    assert plugins.load("pager").name == "pager"
    assert "left" in {offer.name for offer in plugins.offers()}
    with pytest.raises(PluginBroken):
        plugins.load("left")


def test_one_plugin_may_offer_several(install):
    """One hook may offer several providers, each under an entry point of its name."""
    beeper = GOOD.replace("Pager", "Beeper").replace("pager", "beeper")
    both = GOOD.replace("registrar.provider(Pager)", "registrar.provider(Beeper)")
    source = beeper.split("@hookimpl")[0] + both + "    registrar.provider(Pager)\n"
    install(source, names=["pager", "beeper"])

    assert plugins.load("pager").name == "pager"
    assert plugins.load("beeper").name == "beeper"


def test_derived_provider_is_an_attrs_class_itself(install):
    """A class that only derives from an attrs class lacks its own settings: it is told."""
    derived = "class Loud(Pager):\n    volume: int = 11\n\n\n@hookimpl"
    source = GOOD.replace("@hookimpl", derived).replace(
        "provider(Pager)", "provider(Loud)"
    )
    install(source)

    with pytest.raises(PluginBroken, match="Loud is no attrs class"):
        plugins.load("pager")
