"""Train a model whose learning rate warms up for too long, and have people told.

The alerts are what this is about: it runs with whatever configuration there is.
"""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

import tocsin

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM_UP = 0.004  # added to the learning rate at each step
DIVERGED = 1e4


def main() -> None:
    """Train until the loss is beyond hope."""
    run = tocsin.init(project="mnist", team="vision", name="warm-up")
    run.alert("Training started", f"The learning rate grows by {WARM_UP} a step.")

    losses: list[float] = []
    for step, loss in enumerate(training()):
        losses.append(loss)
        if step % 20 == 0:
            print(f"step {step:3}   loss {loss:10.4f}")
            look(run, step, losses)
        if loss > DIVERGED:
            break

    run.alert(
        "Training stopped",
        "Start again from the last checkpoint, with a shorter warm-up.",
        level="ERROR",
        fields={
            "Step": step,
            "Learning rate": f"{WARM_UP * (step + 1):.3f}",
            "Loss": f"{loss:,.1f}",
            "Best loss": f"{min(losses):.4f}",
        },
        url="https://example.org/mnist/runs/warm-up",
    )
    run.alert(
        "Loss curve",
        f"It was {losses[-30]:.2f} only thirty steps earlier.",
        level="WARN",
        attachments=plot(losses),
    )
    evaluate(loss)


def look(run: tocsin.Run, step: int, losses: list[float]) -> None:
    """Tell ada when the loss rises; a second time within five minutes is one too many."""
    loss, best = losses[-1], min(losses)
    if loss > 10 * best:
        run.alert(
            "Loss is rising",
            f"Hey <@U1234ABCD>, it is {loss:.2f} at step {step}, > 10x the best ({best:.2f}).",
            level=tocsin.AlertLevel.WARN,
            wait_duration=300,
        )


def training() -> Iterator[float]:
    """Fit a line by gradient descent, and return the loss at each step."""
    slope = offset = rate = 0.0
    for batch in batches():
        errors = [slope * x + offset - y for x, y in batch]
        yield sum(error * error for error in errors) / len(batch)
        rate += WARM_UP
        steep = sum(error * x for error, (x, _) in zip(errors, batch, strict=True))
        slope -= rate * 2 * steep / len(batch)
        offset -= rate * 2 * sum(errors) / len(batch)
        time.sleep(0.005)  # a model worth training takes longer


def batches() -> Iterator[list[tuple[float, float]]]:
    """Return points on a line, and some noise: the same ones each time."""
    chance = random.Random(0)  # noqa: S311 - noise, no secret
    while True:
        points = [chance.uniform(-1, 1) for _ in range(32)]
        yield [(x, 3 * x - 1 + chance.gauss(0, 0.3)) for x in points]


def plot(losses: list[float]) -> str:
    """Draw the loss into a file, and return its name."""
    figure = Figure(figsize=(6, 3), dpi=200, layout="constrained")
    axes = figure.subplots()
    axes.semilogy(losses, color="#b54708", linewidth=1.5)
    axes.set(xlabel="step", ylabel="loss", xlim=(0, len(losses)))
    axes.grid(color="#e4e7ec", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig("loss.png")
    return "loss.png"


def evaluate(loss: float) -> None:
    """Print how good the model is; nobody thought of a loss like this one."""
    time.sleep(0.2)  # a test set worth loading takes longer
    print(f"perplexity {math.exp(loss):.1f}")


if __name__ == "__main__":
    main()
