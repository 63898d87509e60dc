"""What every provider has to do, wherever it delivers to."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import os
import pickle
import random
import subprocess
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from tocsin._alert import Alert, AlertLevel, Origin
from tocsin._attachment import Attachment
from tocsin._config import load
from tocsin._errors import ConfigError, DeliveryError, PluginError, SecretUnavailable
from tocsin._notifier import Notifier
from tocsin._provider import Delivery, Earlier, Limits, Provider, Receipt
from tocsin._routing import Subscription
from tocsin._secret import Secret
from tocsin._settings import Settings
from tocsin.testing._attempts import NOW, attempt, configured, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tocsin._store import DeliveryRecord

SECRET = "canary-7f3a9c51e2d84b06"  # noqa: S105 - it is planted, and looked for

TEXTS = {
    "several scripts": "Ünïcödé 学習 обучение التدريب 🦉",
    "joined emoji": "👩🏽‍🔬👨‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪",
    "combining marks": "Z̴͚̈a̷̛ĺ̶g̸o e\u0301",
    "right to left": "abc \u202egnp.exe\u202c שלום",
    "lone surrogates": "a\ud800b\udfffc",
    "control characters": "a\x00b\x07c\x1b[31md\x7fe\u0085f",
    "line ends": "one\r\ntwo\rthree\u2028four\n\n\nfive",
    "beyond the basic plane": "\U0001f6a8\U0010ffff\U00020000",
    "quotes": "\"'`“”\\ \\n %s {0} ${x} {{y}} <% z %>",
    "white space": " \t\u00a0\u2003 ",
    "a long word": "a" * 3000,
    "JSON": '{"title": "not this", "text": []}',
}
"""What people, programs and adversaries put into alerts."""

_OURS = {"attr", "attrs", "cattr", "cattrs", "jinja2", "markupsafe", "pluggy", "tocsin"}
_SUSPICIOUS = ("token", "secret", "password", "passwd", "api_key", "routing_key")

_IMPORTED = """
import json, sys
from tocsin import _plugins
before = set(sys.modules)
_plugins.load(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def advise(is_so: object, what: str, then: str) -> None:
    """Fail a check with what was seen, and what the author should do.

    Raises:
        AssertionError: It is not so.

    """
    __tracebackhide__ = True
    if not is_so:
        raise AssertionError(f"{what}.\n→ {then}")


def outcome(provider: Provider, alert: Alert, **delivery: Any) -> Receipt | Exception:  # noqa: ANN401 - of Delivery
    """Make one attempt; return what came of it. `delivery` is what a `Delivery` has."""
    known = {"id": "d-1", "channel": "tests", **delivery}
    try:
        return attempt(provider, alert, Delivery(**known))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error


class LocalProviderSuite:
    """The checks of a provider that speaks to something else than an HTTP service.

    Derive a test class from it, set `provider`, and define `table` and `received`. The other
    attributes say what the service is like. For a service that speaks HTTP, derive from
    `ProviderSuite`, which has these checks and more.
    """

    provider: type[Provider]
    """The class under test."""
    secret: str = SECRET
    """What `table` uses for each setting that is secret: it is looked for where no secret may
    be. For a service whose tokens have a form of their own, override it."""
    place: Path
    """An empty folder, for this test."""

    markup: ClassVar[Sequence[str]] = (
        "<b>bold</b> <script>x</script> &amp; &lt;",
        "*bold* _slanted_ ~struck~ `code` **more**",
        "[a link](https://evil.example) <https://evil.example|here>",
        "# heading\n> quote\n- list\n1. list\n```\nfence\n```",
    )
    """What must arrive as it was written, and not as markup."""
    broadcasts: ClassVar[Sequence[str]] = (
        "<!channel>",
        "<!everyone>",
        "@everyone",
        "@here",
        "@channel",
        "@room",
        "<@&1234>",
        "<at>all</at>",
    )
    """What calls everyone in some service, and must call nobody in this one. Empty: the service
    cannot call anyone."""
    golden: str = ""
    """A file beside the test: what is sent for a full alert. Empty: there is none."""

    def table(self) -> Mapping[str, object]:
        """Return a channel's settings, as in TOML and without ``provider``."""
        raise NotImplementedError("define table()")

    def received(self) -> Sequence[Mapping[str, str]]:
        """Return the messages that arrived, oldest first: the parts of each by name.

        A part is as it was sent, markup included: it is measured with `Provider.limits`,
        ``title`` with that of the title, all others with that of the text.
        """
        raise NotImplementedError("define received()")

    def read(self, parts: Mapping[str, str]) -> str:
        """Return what a person reads: the parts, with the service's markup carried out.

        A service that reads HTML shows ``&lt;`` as ``<``, and nothing of ``<b>``.
        """
        return "\n".join(parts.values())

    def called(self) -> Sequence[str]:
        """Return who is called by the last message: the `broadcasts` that stand in it."""
        sent = "\n".join(self.received()[-1].values())
        return [word for word in self.broadcasts if word in sent]

    def payload(self) -> object:
        """Return what the last message was, for the golden file: what JSON can hold."""
        return dict(self.received()[-1])

    # --- what the checks share

    @pytest.fixture(autouse=True)
    def _stage(self, tmp_path: Path) -> None:
        self.place = tmp_path

    def make(self, **changes: object) -> Provider:
        """Return the provider with the settings of `table`."""
        return configured(self.provider, {**self.table(), **changes})

    def send(self, alert: Alert, **delivery: Any) -> Receipt:  # noqa: ANN401 - of Delivery
        """Deliver an alert; it must succeed.

        Raises:
            AssertionError: It does not.

        """
        result = outcome(self.make(), alert, **delivery)
        advise(
            isinstance(result, Receipt),
            f"a message that the service takes gave {result!r}",
            "deliver() returns a Receipt when the service said yes. Where it refused the "
            "text as too long, lower Provider.limits by what deliver() adds to it; where "
            "this is no DeliveryError, the mistake is in deliver(): run pytest -x --tb=long",
        )
        assert isinstance(result, Receipt)
        return result

    def through_tocsin(self, alert: Alert) -> DeliveryRecord:
        """Raise an alert that goes to the provider; return what became of its delivery."""
        settings = Settings(
            user="ada",
            channels={"tests": self.make()},
            subscriptions=[Subscription(channels=["tests"])],
            teams={alert.origin.team: frozenset()} if alert.origin.team else {},
            state_dir=":memory:",
            submit_timeout=10.0,
        )
        with Notifier(settings, namespace="tests") as notifier:
            (record,) = notifier.notify(alert).wait(20)
        return record

    def last(self) -> Mapping[str, str]:
        """Return the parts of the last message.

        Raises:
            AssertionError: None arrived.

        """
        received = self.received()
        advise(
            received,
            "deliver() returned, and nothing arrived",
            "send the message, or correct received()",
        )
        return received[-1]

    # --- a message

    def test_a_message_arrives(self) -> None:
        """Title and text of an alert are in what arrives, in one message."""
        receipt = self.send(Alert("Loss is NaN", "At step 1,200."))

        read = self.read(self.last())
        for words in ("Loss is NaN", "At step 1,200."):
            advise(
                words in read,
                f"{words!r} is not in what people read: {read!r}",
                "send message.title and message.body, or message.text",
            )
        advise(
            len(self.received()) == 1,
            f"{len(self.received())} messages arrived for one attempt",
            "deliver() makes one attempt: Tocsin tries again when it has to",
        )
        advise(
            all(isinstance(text, str) for text in attrs.astuple(receipt)),
            f"the receipt has something else than text: {receipt!r}",
            "make text of the service's ids: Receipt(reference=str(id))",
        )

    def test_it_works_in_tocsin(self) -> None:
        """An alert that is raised is delivered through the provider."""
        record = self.through_tocsin(full_alert())

        advise(
            record.receipt is not None,
            f"the delivery is {record.status.value}: {record.reason}",
            "make deliver() work with the message that Tocsin renders",
        )

    def test_what_tocsin_says_arrives(self) -> None:
        """How many were suppressed is a sentence of the message."""
        delivery = Delivery(id="d-1", channel="tests")
        attempt(self.make(), Alert("Again"), delivery, suppressed=41)

        read = self.read(self.last())
        advise(
            "41" in read,
            f"the note on suppressed alerts is not in what people read: {read!r}",
            "send message.body or message.text, or print message.notes in the template",
        )

    def test_the_level_is_told(self) -> None:
        """People see how bad it is: the levels give different messages."""
        seen = []
        for level in AlertLevel:
            self.send(Alert("Disk", level=level))
            seen.append(json.dumps(self.payload(), sort_keys=True, default=str))

        advise(
            len(set(seen)) > 1,
            "INFO, WARN and ERROR give the same message",
            "send message.body, which has the level, or a colour or priority for it",
        )

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_any_text(self, text: str) -> None:
        """Whatever is in an alert, it is delivered."""
        origin = Origin(user="ada", project=text, run_name=text, host="node7")
        alert = Alert(
            text.strip() or "title",
            text,
            fields={"a": text},
            tags=[text],
            origin=origin,
        )

        self.send(alert)

        for part in self.last().values():
            part.encode()

    def test_random_text(self) -> None:
        """Nor does text of any characters at all keep it from being delivered."""
        dice = random.Random(8_191)  # noqa: S311 - the same at every run
        provider = self.make()
        for _ in range(30):
            text = "".join(
                chr(dice.choice([dice.randrange(0x300), dice.randrange(0x110000)]))
                for _ in range(dice.randrange(1, 80))
            )
            result = outcome(provider, Alert("t" + text, text, fields={"f": text}))
            advise(
                isinstance(result, Receipt),
                f"the text {text!r} gave {result!r}",
                "send text in a body that is encoded as UTF-8, and never in a header",
            )

    @pytest.mark.parametrize("character", ["x", "é", "\U0001f6a8", "&", "*", "<", "\n"])
    @pytest.mark.parametrize("part", ["title", "text"])
    def test_sizes(self, part: str, character: str) -> None:
        """Just below, at and far beyond a limit, what arrives is within it."""
        limits = self.provider.limits
        most = limits.title if part == "title" else limits.text
        more = [most - 1, most, most + 1, 3 * most] if most else [100_000]
        if most and most > 100_000:  # noqa: PLR2004 - it takes seconds each
            more = [most + 1] if character == "x" else []
        for size in (1, 200, *more):
            words = ("t" + (character if character != "\n" else "-") * size)[: size + 1]
            text = "t" + character * size
            self.send(Alert(words) if part == "title" else Alert("title", text))
            self._check_sizes(limits)

    def _check_sizes(self, limits: Limits) -> None:
        for name, value in self.last().items():
            most = limits.title if name == "title" else limits.text
            size = limits.measure(value)
            advise(
                most is None or size <= most,
                f"the part {name!r} has {size} {limits.unit}, and may have {most}",
                "state the service's limits in Provider.limits, in its own unit, and send "
                "message.title, message.body or message.text as they are; if you wrap "
                "them, leave room for that in the limits",
            )

    def test_everything_is_large(self) -> None:
        """Whatever is too long in an alert, together, is cut to what the service takes."""
        long = '"\\<&*é🚨\n' * 300
        self.send(
            Alert(
                "t" + " ".join(long.split()),
                long,
                AlertLevel.ERROR,
                fields={f"{n}{long[:300]}": long for n in range(30)},
                tags=[f"{n}{long[:300]}" for n in range(30)],
                url="https://example.com/" + "x" * 5_000,
                attachments=[
                    Attachment(f"{n}{long[:90]}.txt", b"1") for n in range(12)
                ],
                origin=Origin(user=long, project=long, run_name=long, host=long),
            )
        )

        self._check_sizes(self.provider.limits)

    @pytest.mark.parametrize(
        "url", ["javascript:alert(1)", "data:text/html,x", "a b", "https://[", "\r\nx"]
    )
    def test_a_link_that_is_none(self, url: str) -> None:
        """What is no web address does not keep the alert from being delivered."""
        self.send(Alert("Disk full", url=url))

    def test_it_is_over(self) -> None:
        """A resolution is delivered: of a message of its own, of a foreign one, of none."""
        alert = full_alert()
        receipt = self.send(alert)
        over = attrs.evolve(
            alert, title="Resolved: Loss is NaN", kind="resolved", id="a2"
        )
        earlier = rendered(self.make(), alert)
        for one in (receipt, Receipt(reference="not of this service/../é"), None):
            resolves = None if one is None else Earlier(message=earlier, receipt=one)
            result = outcome(self.make(), over, id="d-2", resolves=resolves)
            advise(
                isinstance(result, Receipt),
                f"a resolution of what got {one!r} gave {result!r}",
                "look at delivery.resolves only where its receipt is one of yours, and say "
                "that it is over in a message of its own where it cannot be marked",
            )

    def test_markup_is_inert(self) -> None:
        """What looks like markup is shown as it was written, in each part of an alert."""
        for words in self.markup:
            line = " ".join(words.split())
            self.send(Alert(line, words, fields={line[:40]: line}, tags=[line]))
            read = " ".join(self.read(self.last()).split())
            advise(
                line in read,
                f"{line!r} is read as {read!r}",
                "set Provider.escape to what makes text inert in the service's markup, or "
                "tell the service that it is plain text; correct read() if it is right",
            )

    def test_nobody_is_called(self) -> None:
        """No text of an alert calls everyone."""
        for word in self.broadcasts:
            origin = Origin(user="ada", project=word, run_name=word)
            fields = {word: word}
            self.send(Alert(word, word, fields=fields, tags=[word], origin=origin))
            called = list(self.called())
            advise(
                not called,
                f"{word!r} in an alert calls {called}",
                "escape it, or tell the service to call nobody, and have called() look at "
                "that; for a service that cannot call anyone, set broadcasts = ()",
            )

    def test_many_threads(self) -> None:
        """Eight threads deliver at once: each message arrives once, and whole."""
        provider, start = self.make(), threading.Barrier(8)

        def deliver(number: int) -> Receipt | Exception:
            if number < start.parties:
                start.wait(10)
            return outcome(provider, Alert(f"alert-{number:03}-"), id=f"d-{number}")

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(deliver, range(32)))

        advise(
            all(isinstance(result, Receipt) for result in results),
            f"with eight threads: {[r for r in results if not isinstance(r, Receipt)]}",
            "keep nothing in the provider that threads change; override open() to give "
            "each of them a sender of its own",
        )
        read = [self.read(parts) for parts in self.received()]
        for number in range(32):
            found = sum(f"alert-{number:03}-" in one for one in read)
            advise(
                found == 1,
                f"alert {number} of 32 arrived {found} times",
                "keep nothing in the provider that threads change",
            )

    def test_the_golden_payload(self, request: pytest.FixtureRequest) -> None:
        """What is sent for a full alert is what the file beside the test says."""
        if not self.golden:
            pytest.skip('set golden = "a_file.json" to hold what is sent')
        file = request.path.parent / self.golden
        self.send(full_alert())
        now = json.dumps(self.payload(), indent=2, ensure_ascii=False, sort_keys=True)
        now = now.replace(self.secret, "SECRET") + "\n"
        if os.environ.get("TOCSIN_GOLDEN") == "write":
            file.write_text(now, encoding="utf-8")
        advise(
            file.exists(),
            f"there is no {file}",
            "run the tests once with TOCSIN_GOLDEN=write, and look at what it says",
        )
        was = file.read_text(encoding="utf-8")
        assert now == was, (
            "what is sent has changed: if it is meant to, run with TOCSIN_GOLDEN=write"
        )

    # --- secrets

    def test_no_secret_is_shown(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A secret is in no repr, pickle, log or output, nor in what is told of a delivery."""
        caplog.set_level(logging.DEBUG)
        provider = self.make()
        result = outcome(provider, full_alert())

        self.check_secrecy(provider, result, caplog, capfd)

    def check_secrecy(
        self,
        provider: Provider,
        result: Receipt | Exception,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """Look for the secret wherever it must not be."""
        output = capfd.readouterr()
        places = {
            "repr(provider)": repr(provider),
            "str(provider)": str(provider),
            "the log": caplog.text,
            "the output": output.out + output.err,
            "the receipt": repr(result) if isinstance(result, Receipt) else "",
            "the error": shown(result) if isinstance(result, Exception) else "",
        }
        with contextlib.suppress(TypeError):  # a Secret refuses
            places["the pickle"] = pickle.dumps(provider).decode("latin-1")
        for place, text in places.items():
            advise(
                self.secret not in text,
                f"a secret is in {place}",
                "make the setting a tocsin.Secret, reveal() it only where it is sent, and "
                "put neither addresses nor what a library says into reasons",
            )

    def test_secrets_are_secrets(self) -> None:
        """A setting whose name says that it is secret has the type Secret."""
        settings = {field.name: field for field in attrs.fields(self.provider)}
        for name in settings:
            if any(word in name for word in _SUSPICIOUS):
                value = getattr(self.make(), name)
                advise(
                    isinstance(value, Secret) or not isinstance(value, str),
                    f"the setting {name!r} is a {type(value).__name__}",
                    f"annotate it as tocsin.Secret: `{name}: Secret`",
                )

    # --- installed and configured

    def test_it_is_discovered(self) -> None:
        """The package has an entry point of the provider's name, which offers the provider."""
        from tocsin import _plugins as plugins

        name = self.provider.name
        try:
            found: object = plugins.load(name)
        except PluginError as error:
            found = error
        advise(
            found is self.provider,
            f"the entry point {name!r} of the group 'tocsin' gives {found!r}",
            f'in pyproject.toml: [project.entry-points.tocsin] {name} = "your_module", with a '
            "tocsin_register there; then install the package again",
        )

    def test_it_is_cheap_to_import(self) -> None:
        """To load the plugin imports no SDK: everyone with such a channel pays for it."""
        name = self.provider.name
        run = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _IMPORTED, name],
            capture_output=True,
            text=True,
            check=True,
        )
        own = self.provider.__module__.partition(".")[0]
        allowed = {*sys.stdlib_module_names, *_OURS, own}
        foreign = [name for name in json.loads(run.stdout) if name not in allowed]
        advise(
            not foreign,
            f"loading the plugin imports {', '.join(foreign)}",
            "import SDKs in open() or deliver(), not at the top",
        )

    def test_every_setting_has_help(self) -> None:
        """`tocsin providers NAME` and the wizard have something to say of each setting."""
        silent = [
            field.name
            for field in attrs.fields(self.provider)
            if field.init and not str(field.metadata.get("help", "")).endswith(".")
        ]
        advise(
            not silent,
            f"no help: {', '.join(silent)}",
            'attrs.field(metadata={"help": "A sentence."})',
        )

    def test_it_is_configured_from_a_file(self) -> None:
        """A channel's table in a configuration makes the provider."""
        file = self.write_config(self.table())

        provider = load(file).channels["tests"].provider

        assert isinstance(provider, self.provider)
        assert repr(provider) == repr(self.make())

    def test_mistakes_in_a_file(self) -> None:
        """A setting too many, a wrong type, and a missing one are told with their place."""
        self.check_mistake(
            "colour_of_the_bike_shed", {**self.table(), "colour_of_the_bike_shed": 1}
        )
        for field in attrs.fields(self.provider):
            if field.name in self.table():
                table = {**self.table(), field.name: {"no": ["such", "type"]}}
                self.check_mistake(field.name, table)
            if field.default is attrs.NOTHING and field.init:
                table = {k: v for k, v in self.table().items() if k != field.name}
                self.check_mistake(field.name, table)

    def check_mistake(self, name: str, table: Mapping[str, object]) -> None:
        """Load a configuration that has a mistake in this setting."""
        with pytest.raises(ConfigError) as caught:
            load(self.write_config(table))
        keys = [problem.key for problem in caught.value.problems]
        advise(
            any(key.startswith(f"channels.tests.{name}") for key in keys),
            f"a mistake in {name!r} is told as {caught.value}",
            "let the type and the field's own validator find it",
        )

    def write_config(self, table: Mapping[str, object]) -> Path:
        """Write a configuration with the one channel ``tests``."""
        file = self.place / "tocsin.toml"
        lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
        head = ["[channels.tests]", f'provider = "{self.provider.name}"']
        file.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
        return file

    def test_it_can_be_checked(self) -> None:
        """`tocsin doctor` gets a sentence, or one of the errors of a delivery."""
        try:
            said = self.make().check(5.0)
        except (DeliveryError, SecretUnavailable):
            return
        advise(
            isinstance(said, str),
            f"check() returned {said!r}",
            "return a sentence, or an empty text when there is nothing to ask",
        )
        advise(
            not self.received(),
            "check() sent a message",
            "find out without sending anything that people see",
        )


def full_alert() -> Alert:
    """Return an alert that has everything, the same each time."""
    return Alert(
        "Loss is NaN",
        "At step 1,200 the loss became NaN.\nThe last good checkpoint is 1,000.",
        AlertLevel.ERROR,
        fields={"step": "1200", "lr": "3e-4"},
        tags=["nightly", "gpu"],
        url="https://example.com/runs/owl?tab=1&x=2",
        id="golden-alert",
        origin=Origin(
            user="ada",
            team="vision",
            project="owls",
            run="r1",
            run_name="wise-owl",
            host="node7",
            rank=3,
        ),
        created_at=NOW,
    )


def shown(error: BaseException | None) -> str:
    """Return all that a crash reporter shows of an error, without the values of variables."""
    parts: list[str] = []
    while error is not None:
        parts += traceback.format_exception(error)
        parts += [repr(error), repr(vars(error)), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()
        )
        return "{ " + inner + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
