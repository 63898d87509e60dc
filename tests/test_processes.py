"""Several real processes on one state directory."""

from __future__ import annotations


def test_two_configurations_in_one_state_directory(place):
    """Channels of the same name in two configurations never get each other's alerts."""
    raise_offline = (
        "import tocsin; tocsin.init(config={!r}, mode='offline').alert({!r})"
    )
    drain = (
        "import tocsin; n = tocsin.Notifier.from_config({!r}); n.start(); n.close(10)"
    )
    configs = [str(place.write_config(f"{name}.toml")) for name in ("one", "two")]
    for config in configs:
        place.run(raise_offline.format(config, "for " + config))

    place.run(drain.format(configs[0]))
    assert [d["title"] for d in place.delivered("one.toml")] == ["for " + configs[0]]
    assert place.delivered("two.toml") == []

    place.run(drain.format(configs[1]))
    assert [d["title"] for d in place.delivered("one.toml")] == ["for " + configs[0]]
    assert [d["title"] for d in place.delivered("two.toml")] == ["for " + configs[1]]


def test_no_configuration(place):
    """Without init and without a configuration an alert is printed, and kept."""
    environment = {**place.environment}
    del environment["TOCSIN_CONFIG"]
    process = place.python(
        "import tocsin; tocsin.alert('hi', 'there')", env=environment
    )
    _, errors = process.communicate(timeout=60)

    assert "[INFO] hi: there" in errors
    history = place.run(
        "import tocsin; n = tocsin.Notifier.from_config();"
        "print([r.alert.title for r in n.store().history(limit=9)])",
        env=environment,
    )
    assert history.strip() == "['hi']"
