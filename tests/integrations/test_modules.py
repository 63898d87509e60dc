"""What holds of the integrations without their frameworks."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

CALLBACKS = {
    "keras": ["keras"],
    "lightning": ["lightning", "pytorch_lightning"],
    "transformers": ["transformers"],
}
FORWARDED = {"trackio": ["trackio"], "wandb": ["wandb"]}


@pytest.mark.parametrize("name", [*CALLBACKS, *FORWARDED])
def test_a_module_imports_no_framework(name):
    """Not before its callback is asked for, or its function called."""
    code = (
        f"import sys, tocsin.integrations.{name} as it; it.__all__; "
        f"print([m for m in {(CALLBACKS | FORWARDED)[name]} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_framework_that_is_missing_is_named(name):
    missing = [f for f in CALLBACKS[name] if importlib.util.find_spec(f) is None]
    if len(missing) < len(CALLBACKS[name]):
        pytest.skip(f"{name} is installed")
    module = importlib.import_module(f"tocsin.integrations.{name}")

    with pytest.raises(ModuleNotFoundError, match=missing[-1]):
        _ = module.TocsinCallback


@pytest.mark.parametrize("name", FORWARDED)
def test_a_tracker_that_is_missing_is_named(name):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    module = importlib.import_module(f"tocsin.integrations.{name}")

    with pytest.raises(ModuleNotFoundError, match=name):
        module.forward()


@pytest.mark.parametrize("name", [*CALLBACKS, *FORWARDED])
def test_unknown_names_are_told(name):
    module = importlib.import_module(f"tocsin.integrations.{name}")

    with pytest.raises(AttributeError, match="TocsinCalback"):
        _ = module.TocsinCalback
