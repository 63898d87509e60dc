from __future__ import annotations

import os
from typing import NoReturn

import attrs

from tocsin._errors import SecretUnavailable
from tocsin._imports import importing


@attrs.frozen
class FromEnv:
    """A secret that is kept in an environment variable."""

    variable: str

    def read(self) -> str:
        """Return the variable's value, or raise SecretUnavailable."""
        try:
            return os.environ[self.variable]
        except KeyError:
            raise SecretUnavailable(
                f"the environment variable {self.variable} is not set: set it where the "
                "program that delivers runs, then `tocsin drain`"
            ) from None


@attrs.frozen
class FromFile:
    """A secret that is the content of a file, without the white space around it."""

    path: str

    def read(self) -> str:
        """Return the file's content, or raise SecretUnavailable."""
        why = "it is not UTF-8 text"
        try:
            with open(self.path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not needed here and costs import time
                return file.read().strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or why
        # raised here, so that no context holds the error, which may hold the bytes
        raise SecretUnavailable(
            f"the secret's file {self.path!r} cannot be read ({why}): make it, readable by "
            "you alone"
        )


@attrs.frozen
class FromKeyring:
    """A secret that the system's keyring keeps. It needs the extra ``keyring``."""

    service: str
    name: str

    @classmethod
    def parse(cls, written: str) -> FromKeyring:
        """Return what ``service/name`` means; a service may hold slashes.

        Raises:
            ValueError: One of the two is missing.

        """
        service, _, name = written.rpartition("/")
        if not (service and name):
            raise ValueError(f'{written!r} is no entry of a keyring: "service/name"')
        return cls(service, name)

    def __str__(self) -> str:
        return f"{self.service}/{self.name}"

    def read(self) -> str:
        """Return what the keyring has, or raise SecretUnavailable."""
        try:
            with importing():
                import keyring
        except ImportError:
            why = "the package keyring is missing: pip install 'tocsin[keyring]'"
        else:
            try:
                value = keyring.get_password(self.service, self.name)
            except Exception as error:  # noqa: BLE001 - a backend is anyone's code
                why = (
                    f"it does not answer ({type(error).__name__}): unlock it, or keep "
                    "the secret in a file"
                )
            else:
                if value is not None:
                    return value
                why = f"it has none: keyring set {self.service} {self.name}"
        # raised here, so that no context holds the error, which may hold the value
        raise SecretUnavailable(
            f"the keyring's entry {str(self)!r} cannot be read: {why}"
        )


Reference = FromEnv | FromFile | FromKeyring
"""Where a secret is kept."""


@attrs.frozen(repr=False)
class _Literal:
    value: str

    def read(self) -> str:
        return self.value


class Secret:
    """A value that shows itself nowhere but through `reveal()`.

    It is no ``str``: joining it, formatting it, `json.dumps` and pickling do not leak
    it. A reference is resolved each time it is revealed, so that a rotated token is
    picked up without a restart.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str | FromEnv | FromFile | FromKeyring = "") -> None:
        if not isinstance(source, str | Reference):
            raise TypeError(
                "a Secret is made of a str, FromEnv, FromFile or FromKeyring, not "
                f"{type(source).__name__}"
            )
        self._source = _Literal(source) if isinstance(source, str) else source

    @property
    def reference(self) -> FromEnv | FromFile | FromKeyring | None:
        """Where the value is kept, or None when the value was given itself."""
        return None if isinstance(self._source, _Literal) else self._source

    def reveal(self) -> str:
        """Return the value itself; keep it in no variable that outlives the call.

        Raises:
            SecretUnavailable: The environment variable, the file or the keyring cannot be
                read.

        """
        return self._source.read()

    def __bool__(self) -> bool:
        return self._source != _Literal("")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._source == other._source

    def __hash__(self) -> int:
        return hash(self._source)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})" if self.reference else "Secret('…')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled: pass its reference instead")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def redact(text: str, values: list[str]) -> str:
    """Return the text with every one of the values (revealed secrets) blotted out."""
    if not text:  # mostly
        return text
    from urllib.parse import quote

    forms = {form for value in values for form in (value, quote(value, safe=""))}
    for value in sorted(forms, key=len, reverse=True):
        if value:
            text = text.replace(value, "…")
    return text
