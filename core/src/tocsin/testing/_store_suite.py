from __future__ import annotations

import contextlib
import functools
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

import pytest

from tocsin._store._document._store import DocumentStore

_CONTRACT = "tocsin.testing._store_contract"
if _CONTRACT not in sys.modules:  # else what fails is told without its values
    pytest.register_assert_rewrite(_CONTRACT)

from tocsin.testing._store_contract._admissions import Admissions  # noqa: E402 - above
from tocsin.testing._store_contract._circuits import Circuits  # noqa: E402 - above
from tocsin.testing._store_contract._conversations import (  # noqa: E402 - above
    Conversations,
)
from tocsin.testing._store_contract._digests import Digests  # noqa: E402 - above
from tocsin.testing._store_contract._fallbacks import Fallbacks  # noqa: E402 - above
from tocsin.testing._store_contract._resolutions import (  # noqa: E402 - above
    Resolutions,
)
from tocsin.testing._store_contract._runs import Runs  # noqa: E402 - above
from tocsin.testing._store_contract._silences import Silences  # noqa: E402 - above
from tocsin.testing._store_contract._storing import advise  # noqa: E402 - above
from tocsin.testing._store_contract._whole import Whole  # noqa: E402 - above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tocsin._store import Store, StoreProvider

_PROCESS = """
import importlib.util, sys
from pathlib import Path

_, file, name, folder, number, *paths = sys.argv
sys.path[:0] = paths
number = int(number)
spec = importlib.util.spec_from_file_location("the_tests", file)
module = importlib.util.module_from_spec(spec)
sys.modules["the_tests"] = module
spec.loader.exec_module(module)

from tocsin import Alert, StoreBusy
from tocsin.testing._store_contract._storing import submit

provider = getattr(module, name)().provider(Path(folder))
store = provider.open("tests", "tests", timeout=60)
"""


class StoreSuite(
    Whole,
    Admissions,
    Circuits,
    Conversations,
    Digests,
    Fallbacks,
    Resolutions,
    Runs,
    Silences,
):
    """Everything that a store promises, as tests.

    Derive a class of tests from it, and say in `provider` how your store is opened. A test
    that fails says what to do.
    """

    is_shared: ClassVar[bool] = True
    """Whether two stores that are opened in one folder see the same."""
    outlives_processes: ClassVar[bool] = True
    """Whether another process sees the same, too."""
    examples: ClassVar[int] = 25
    """Runs of the state machines: the more, the surer and the slower."""

    def provider(self, folder: Path) -> StoreProvider:
        """Return your provider, for a place that belongs to this folder alone.

        The folder is empty at first. A store that is no file makes its name out of that of
        the folder: a schema, a prefix, a database.
        """
        raise NotImplementedError("say how your store is opened: override provider()")

    def small(self, folder: Path, most: int) -> Store:  # noqa: ARG002 - for who overrides it
        """Return a store that takes so many pending deliveries, and no more."""
        pytest.skip("override small() to have the bound checked")

    def held(self, store: Store) -> AbstractContextManager[object]:
        """Return a context in which somebody else holds what is the store's."""
        if isinstance(store, DocumentStore):
            return store.lock(5)
        pytest.skip("override held() to have the time limit checked")

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[Callable[..., Store]]:
        """Return what opens a store of a namespace, in the folder of this test."""
        folder = tmp_path / "store"
        folder.mkdir()
        with contextlib.ExitStack() as stack:

            def open_store(namespace: str) -> Store:
                store = self._open(folder, namespace)
                stack.callback(store.close)
                return store

            yield open_store

    def _open(self, folder: Path, namespace: str) -> Store:
        return self.provider(folder).open(namespace, namespace, timeout=5)

    @pytest.fixture
    def store(self, open_store: Callable[..., Store]) -> Store:
        """Return a store with nothing in it."""
        return open_store("tests")

    @pytest.fixture
    def stores(self, open_store: Callable[..., Store]) -> tuple[Store, Store]:
        """Return two processes, as far as a store can tell, that see the same."""
        self._need_shared()
        return open_store("tests"), open_store("tests")

    @pytest.fixture
    def reopen(self, open_store: Callable[..., Store]) -> Callable[..., Store]:
        """Return what opens a store again that was closed."""
        self._need_shared()
        return open_store

    @pytest.fixture
    def apart(self, open_store: Callable[..., Store]) -> tuple[Store, Store]:
        """Return the stores of two namespaces in one place."""
        self._need_shared()
        return open_store("one"), open_store("two")

    def _need_shared(self) -> None:
        if not self.is_shared:
            pytest.skip("is_shared is False: each store has its own")

    @pytest.fixture
    def small_store(self, tmp_path: Path) -> Iterator[Store]:
        """Return a store that takes two pending deliveries."""
        with contextlib.closing(self.small(tmp_path, 2)) as store:
            yield store

    @pytest.fixture
    def hold_store(
        self, open_store: Callable[..., Store]
    ) -> Callable[[], AbstractContextManager[object]]:
        """Return what holds the store as somebody else would who takes long."""
        self._need_shared()
        return lambda: self.held(open_store("tests"))

    @pytest.fixture
    def in_processes(self, tmp_path: Path) -> Callable[[str, int], None]:
        """Return what runs code in processes of their own, all at once."""
        if not (self.is_shared and self.outlives_processes):
            pytest.skip("outlives_processes is False")
        return functools.partial(self._run, tmp_path / "store")

    def _run(self, folder: Path, code: str, count: int) -> None:
        file, name = inspect.getfile(type(self)), type(self).__name__
        processes = [
            subprocess.Popen(  # noqa: S603 - our own code
                [
                    *(sys.executable, "-c", _PROCESS + code, file, name),
                    *(str(folder), str(number), *sys.path),
                ]
            )
            for number in range(count)
        ]
        codes = [process.wait(timeout=120) for process in processes]
        assert codes == [0] * count, f"the processes ended with {codes}"

    @advise("the steps above are the shortest that go wrong: take them one by one")
    def test_admissions_against_a_model(self) -> None:
        """Clocks jump, stores are closed and opened again, workers die: counts agree."""
        self._check("AdmissionMachine", steps=40)

    @advise("the steps above are the shortest that go wrong: take them one by one")
    def test_deliveries_against_a_model(self) -> None:
        """Whatever comes in whatever order, nothing vanishes or is in two hands."""
        self._check("DeliveryMachine", steps=30)

    def _check(self, machine: str, *, steps: int) -> None:
        self._need_shared()
        pytest.importorskip("hypothesis")
        from tocsin.testing._store_contract import _machines as machines

        machines.check(
            getattr(machines, machine),
            lambda folder: self._open(folder, "model"),
            examples=self.examples,
            steps=steps,
        )
