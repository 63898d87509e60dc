"""Test what is built on Tocsin: needs pytest (``pip install 'tocsin[testing]'``)."""

TYPE_CHECKING = (
    False  # what type checkers take for true; typing would be the whole cost
)
if TYPE_CHECKING:
    from tocsin.testing._store_suite import StoreSuite

__all__ = ["StoreSuite"]

_HOMES = {"StoreSuite": "_store_suite"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tocsin.testing' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"tocsin.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
