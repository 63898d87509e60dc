"""What `run.watch_metric` tells, and what `run.log` keeps."""

from __future__ import annotations

import gc
import math
import random
import timeit
import weakref
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import AlertLevel
from tocsin._metrics import LONGEST, Finding, Watch, scalars

any_floats = st.lists(st.floats() | st.sampled_from([math.nan, math.inf, 0.0, -0.0]))
watches = st.builds(
    Watch,
    st.just("loss"),
    above=st.none() | st.floats(),
    below=st.none() | st.floats(),
    diverges=st.none() | st.floats(1, exclude_min=True),
    window=st.integers(1, 100),
)


def found(watch, values):
    """Return what is found, each with the number of the value."""
    looked = [(n, watch.look(value, n)) for n, value in enumerate(values)]
    return [(n, finding) for n, finding in looked if finding is not None]


def titles(watch, values):
    return [finding.title for _, finding in found(watch, values)]


# --- properties


@given(watches, any_floats, st.none() | st.integers())
def test_no_value_raises(watch, values, step):
    for value in values:
        assert isinstance(watch.look(value, step), Finding | None)


@given(watches, any_floats)
def test_bad_and_over_take_turns(watch, values):
    """Of one key, nothing is told twice without its end, and no end without it."""
    is_bad = {}
    for _, finding in found(watch, values):
        assert finding.is_over is is_bad.get(finding.key, False)
        is_bad[finding.key] = not finding.is_over


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 300))
def test_a_constant_is_never_told(value, count):
    assert found(Watch("loss"), [value] * count) == []


noises = st.sampled_from(
    [
        lambda chance: chance.uniform(-1, 1),
        lambda chance: chance.gauss(0, 1),
        lambda chance: chance.expovariate(1) - 1,
        lambda chance: 100 if chance.random() < 0.01 else 0,  # spikes
    ]
)


@given(
    noises,
    st.integers(0, 2**32),
    st.tuples(st.floats(-100, 100), st.floats(0, 100), st.floats(0, 10)),
    st.floats(1e-6, 1e6),
)
def test_noise_that_does_not_rise_is_never_told(noise, seed, shape, scale):
    """About zero, below it, above it; level or falling; at any scale."""
    chance = random.Random(seed)
    floor, fall, level = shape
    values = [
        scale * (floor + fall * 0.99**n + level * noise(chance)) for n in range(400)
    ]

    assert found(Watch("loss"), values) == []


@given(st.integers(0, 2**32), st.floats(0.1, 1))
def test_a_loss_that_falls_by_orders_is_never_told(seed, level):
    """Noise in proportion to what it is, down to almost nothing."""
    chance = random.Random(seed)
    values = [0.97**n * (1 + level * chance.uniform(-1, 1)) for n in range(500)]

    assert found(Watch("loss"), values) == []


@given(
    st.lists(st.floats(-5, 5), max_size=50),
    st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1),
)
def test_what_is_not_finite_is_told_once(before, after):
    told = found(Watch("loss"), before + after)

    assert [(n, finding.level) for n, finding in told] == [
        (len(before), AlertLevel.ERROR)
    ]


@given(
    st.integers(0, 2**32),
    st.sampled_from([1.0, -1.0, 1e-6, 1e6]),
    st.integers(10, 300),
    st.integers(1, 50),
)
def test_a_divergence_is_told_within_a_window(seed, scale, before, window):
    """A loss that goes a hundredfold, for good, is told while it lasts, and once."""
    chance = random.Random(seed)
    watch = Watch("loss", window=window)
    good = [scale * chance.uniform(1, 1.2) for _ in range(before)]
    bad = [abs(scale) * chance.uniform(100, 200) for _ in range(100)]
    ((n, finding),) = found(watch, good + bad)

    assert finding.key == "loss diverges"
    assert finding.level is AlertLevel.WARN
    assert before <= n <= before + max(window, 10)


# --- examples


def test_nan_is_an_error():
    watch = Watch("train/loss")
    (told,) = [
        watch.look(value, 12_400 + n) for n, value in enumerate([0.5, math.nan])
    ][1:]

    assert told == Finding(
        key="train/loss is not finite",
        title="train/loss is NaN",
        text="at step 12,401\nlast values: 0.5, nan",
        level=AlertLevel.ERROR,
    )


def test_infinity():
    assert titles(Watch("loss"), [math.inf]) == ["loss is infinite"]
    assert titles(Watch("loss"), [-math.inf]) == ["loss is negatively infinite"]
    assert titles(Watch("loss"), [10**400]) == ["loss is infinite"]


def test_nan_now_and_then_is_told_once():
    """Mixed precision skips a step now and then: that is one alert, over once it ends."""
    watch = Watch("loss")
    told = found(watch, [math.nan, 1.0, 1.0] * 20 + [1.0] * 8)

    assert [(n, finding.is_over) for n, finding in told] == [(0, False), (67, True)]
    assert told[1][1].key == told[0][1].key == "loss is not finite"


def test_a_limit():
    watch = Watch("loss", above=5, diverges=None)
    told = found(watch, [4.0, 7.1, 4.0, 8.0] + [5.0] * 20)

    assert [(n, f.is_over, f.title) for n, f in told] == [
        (1, False, "loss is above 5: 7.1"),
        (13, True, "loss is back: 5"),
    ]
    assert {finding.key for _, finding in told} == {"loss is above 5"}


def test_a_lower_limit():
    assert titles(Watch("accuracy", below=0.9, diverges=None), [0.95, 0.71]) == [
        "accuracy is below 0.9: 0.71"
    ]


def test_several_at_once_are_told_one_after_another():
    watch = Watch("loss", above=5, below=8, diverges=None)

    assert titles(watch, [7.0, 7.0, 7.0]) == [
        "loss is above 5: 7",
        "loss is below 8: 7",
    ]


def test_a_divergence():
    """A handful of values tell it, not the first; and it is over when the loss is back."""
    watch = Watch("loss")
    told = found(watch, [0.2] * 100 + [12.3] * 50 + [0.2] * 100)

    assert [(f.is_over, f.title) for _, f in told] == [
        (False, "loss diverges: 12.3, the best was 0.2"),
        (True, "loss is back: 0.2"),
    ]
    assert [n for n, _ in told] == [105, 170]


def test_a_lone_spike_is_no_divergence():
    assert found(Watch("loss"), [0.2] * 50 + [1e30] + [0.2] * 50) == []


def test_the_first_values_are_no_measure():
    """A loss that begins small by chance, or rises at first, is left alone."""
    assert found(Watch("loss"), [1e-9, 5.0, 4.0, 6.0, *[5.0] * 50]) == []


def test_zeros_are_no_measure():
    """A term that is not used yet, or not any more, may come back."""
    assert found(Watch("kl"), [0.0] * 500 + [0.3] * 500) == []
    assert found(Watch("hinge"), [1.0] * 50 + [0.0] * 5000 + [0.05] * 500) == []


def test_a_negative_loss_that_explodes():
    assert titles(Watch("elbo"), [-5.0] * 50 + [500.0] * 10) == [
        "elbo diverges: 500, the best was -5"
    ]


def test_a_factor_of_ones_own():
    values = [1.0] * 50 + [4.0] * 50

    assert found(Watch("loss"), values) == []
    assert titles(Watch("loss", diverges=3), values) == [
        "loss diverges: 4, the best was 1"
    ]
    assert found(Watch("loss", diverges=None), values) == []


@pytest.mark.parametrize("options", [{"diverges": 1}, {"diverges": 0.5}, {"window": 0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Watch("loss", **options)


# --- what is kept of a mapping


class Tensor:
    """One element, or many, as torch has it."""

    def __init__(self, *values):
        self._values = values

    def item(self):
        if len(self._values) != 1:
            raise RuntimeError("a Tensor with many elements cannot be converted")
        return self._values[0]


class Broken:
    def item(self):
        raise OSError

    def __str__(self):
        raise OSError


def test_what_is_kept():
    kept = scalars(
        {
            "loss": 0.5,
            "step": 3,
            "is_best": True,
            "phase": "warmup",
            "tensor": Tensor(0.25),
            "decimal": Decimal("0.5"),
            "eval": {"loss": 1.0, "by": {"class": Tensor(2)}},
            7: 1,
        }
    )

    assert kept == {
        "loss": 0.5,
        "step": 3,
        "is_best": True,
        "phase": "warmup",
        "tensor": 0.25,
        "decimal": 0.5,
        "eval.loss": 1.0,
        "eval.by.class": 2,
        "7": 1,
    }


OTHERS = [
    *(None, object(), [1.0], (1,), {1}, b"x", 1j, "x" * (LONGEST + 1)),
    *(Tensor(1, 2), Tensor(1j), Tensor(), Tensor([1]), Broken()),
]


def test_what_is_left_out():
    metrics = {f"other{n}": value for n, value in enumerate(OTHERS)}

    assert scalars({**metrics, "loss": 1.0}) == {"loss": 1.0}


def test_numpy():
    numpy = pytest.importorskip("numpy")
    kept = scalars(
        {
            "f": numpy.float32(0.5),
            "d": numpy.float64(0.5),
            "i": numpy.int64(3),
            "b": numpy.bool_(True),
            "s": numpy.str_("x"),
            "a": numpy.array(2.5),
            "many": numpy.zeros(3),
            "none": numpy.zeros(0),
        }
    )

    assert kept == {"f": 0.5, "d": 0.5, "i": 3, "b": True, "s": "x", "a": 2.5}
    assert [type(value) for value in kept.values()] == [
        *(float, float, int, bool, str, float)
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_nothing_logged_raises(metrics):
    for name, value in scalars(metrics).items():
        assert type(name) is str
        assert type(value) in {float, int, str, bool}


def test_a_mapping_that_holds_itself_ends():
    metrics = {"loss": 1.0}
    metrics["again"] = metrics

    assert scalars(metrics)["again.loss"] == 1.0


def test_a_mapping_that_breaks_keeps_what_came_before():
    class Lazy(dict):
        def items(self):
            yield "loss", 1.0
            raise OSError

    assert scalars(Lazy()) == {"loss": 1.0}
    assert scalars({Broken(): 1.0}) == {"<a Broken that cannot be printed>": 1.0}


def test_no_tensor_is_kept_alive():
    tensor = Tensor(1.0)
    dead = weakref.ref(tensor)
    kept = scalars({"loss": tensor})
    del tensor
    gc.collect()

    assert kept == {"loss": 1.0}
    assert dead() is None


def test_plain_floats_are_cheap():
    """A training loop calls it at each step: microseconds, with room for a busy machine."""
    metrics = {f"metric{n}": n / 10 for n in range(10)}
    watch = Watch("loss", above=5)

    assert min(timeit.repeat(lambda: scalars(metrics), number=100, repeat=5)) < 0.01
    assert min(timeit.repeat(lambda: watch.look(1.0), number=100, repeat=5)) < 0.01
