import shutil
import socket
import subprocess
import sys
import threading
import time
from html import unescape
from pathlib import Path

import attrs
import pytest

from tocsin import Ambiguous, Attachment, OutOfOrder, RetryLater
from tocsin_desktop import Desktop

FAILS = "sys.stderr.write({said!r}); sys.exit(1)"
HANGS = """
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
open({pids!r} + ".new", "w").write(str(child))
os.rename({pids!r} + ".new", {pids!r})
time.sleep(600)
"""


def test_a_notification(linux, message, delivery):
    receipt = Desktop().deliver(message("Loss is NaN", "é \U0001f525"), delivery)

    ((words, _, environment, _),) = linux.runs("notify-send")
    assert words[-2:] == ["Loss is NaN", "é \U0001f525\n\n2026-05-01 12:00:00 UTC"]
    assert environment["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/nowhere"
    assert environment["LC_ALL"] == "C.UTF-8"
    assert receipt.note == ""


def test_attachments_are_left_out(linux, message, delivery):
    told = message(attachments=Attachment("loss.png", b"1"))

    assert "loss.png" in Desktop().deliver(told, delivery).note


def test_macos_reads_the_script_from_stdin(programs, monkeypatch, message, delivery):
    monkeypatch.setattr(sys, "platform", "darwin")
    programs.make("osascript")

    Desktop().deliver(message("-e", "b"), delivery)

    ((words, script, _, _),) = programs.runs("osascript")
    assert words[:2] == ["-", "-e"]
    assert script.startswith("on run argv\n")


def test_a_bus_that_the_environment_does_not_name(
    linux, monkeypatch, tmp_path, message, delivery
):
    """A login by ssh has a bus where the desktop's is."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind("bus")
        Desktop().deliver(message(), delivery)

    ((_, _, environment, _),) = linux.runs("notify-send")
    assert environment["DBUS_SESSION_BUS_ADDRESS"].endswith(f"{tmp_path}/bus")


def no_bus(monkeypatch, tmp_path):
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def no_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "none"))


def no_such_system(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")


@pytest.mark.parametrize(
    ("lacks", "reason", "remedy"),
    [
        (no_bus, "no desktop session", "of the desktop session"),
        (no_program, "not installed", "libnotify"),
        (no_such_system, "not supported on win32", "another provider"),
    ],
)
def test_a_machine_without_a_desktop_is_out_of_order(
    *, linux, monkeypatch, tmp_path, message, delivery, lacks, reason, remedy
):
    lacks(monkeypatch, tmp_path)

    for attempt in (
        lambda: Desktop().deliver(message(), delivery),
        lambda: Desktop().check(1.0),
    ):
        with pytest.raises(OutOfOrder, match=reason) as raised:
            attempt()
        assert remedy in raised.value.remedy


def test_a_program_that_cannot_be_run(linux, message, delivery):
    (linux.folder / "notify-send").write_text("#!/nowhere/python\n")

    with pytest.raises(OutOfOrder, match="cannot be run"):
        Desktop().deliver(message(), delivery)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("The name org.freedesktop.Notifications was not provided", OutOfOrder),
        ("GDBus.Error:org.freedesktop.Notifications.Error.Excess", RetryLater),
        ("GDBus.Error:org.freedesktop.DBus.Error.NoReply: it died", Ambiguous),
        ("x" * 100_000, OutOfOrder),
    ],
)
def test_what_the_program_says(linux, message, delivery, said, outcome):
    linux.make("notify-send", FAILS.format(said=said))

    with pytest.raises(outcome) as raised:
        Desktop().deliver(message(), delivery)

    assert type(raised.value) is outcome
    assert said[:50] in raised.value.reason
    assert len(raised.value.reason) < 300


def test_a_program_that_hangs_is_killed_with_its_children(
    linux, tmp_path, message, delivery, is_alive
):
    pids = tmp_path / "pids"
    linux.make("notify-send", HANGS.format(pids=str(pids)))

    # the time starts again until the program had time to start, on a busy machine
    for timeout in (2, 10, 60):
        with pytest.raises(Ambiguous, match="was not over"):
            Desktop().deliver(message(), attrs.evolve(delivery, timeout=timeout))
        if pids.exists():
            break

    *_, (_, _, _, pid) = linux.runs("notify-send")
    assert not is_alive(pid)
    deadline = time.monotonic() + 60
    child = int(pids.read_text())
    while is_alive(child) and time.monotonic() < deadline:
        if is_zombie(child):  # nobody reaps orphans in some containers
            break
        time.sleep(0.05)
    assert time.monotonic() < deadline


def is_zombie(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "Z"


def test_a_check_shows_nothing(linux):
    assert "notify-send" in Desktop().check(1.0)
    assert not (linux.folder / "notify-send.jsonl").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\0b"])
def test_a_name_is_printable(name):
    with pytest.raises(ValueError, match="app_name must be printable"):
        Desktop(app_name=name)


# --- the real notify-send


@pytest.fixture
def bus(tmp_path, monkeypatch):
    """A private session bus."""
    if not (shutil.which("notify-send") and shutil.which("dbus-daemon")):
        pytest.skip("the real notify-send is not tried: it, or dbus-daemon, is missing")
    address = f"unix:path={tmp_path}/bus"
    words = ["dbus-daemon", "--session", "--nofork", f"--address={address}"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as daemon:
        try:
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
            deadline = time.monotonic() + 60
            while not (tmp_path / "bus").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield address
        finally:
            daemon.kill()


@pytest.fixture
def desktop(bus):
    """A desktop on the bus, which takes down what it is to show."""
    with Notifications(bus) as shown:
        yield shown


class Notifications:
    """The service org.freedesktop.Notifications."""

    def __init__(self, address):
        self._address = address
        self.shown = []

    def __enter__(self):
        from jeepney import HeaderFields, MessageType, new_method_return
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(self._address)
        request = message_bus.RequestName("org.freedesktop.Notifications")
        self._connection.send_and_get_reply(request)
        answers = {
            "GetServerInformation": ("ssss", ("double", "tocsin", "1", "1.2")),
            "GetCapabilities": ("as", (["body", "body-markup"],)),
            "Notify": ("u", (7,)),
        }

        def serve():
            while True:
                try:
                    call = self._connection.receive()
                except OSError:
                    return
                if call.header.message_type is not MessageType.method_call:
                    continue
                member = call.header.fields[HeaderFields.member]
                if member == "Notify":
                    self.shown.append(call.body)
                self._connection.send(new_method_return(call, *answers[member]))

        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


TEXTS = [
    "-plain",
    "<b>bold & so</b>",
    r"C:\new\table \u0041 \101",
    "é 日本 \U0001f525",
    "a\nb",
]


@pytest.mark.skipif(sys.platform != "linux", reason="notify-send is Linux's")
@pytest.mark.parametrize("text", TEXTS)
def test_the_real_notify_send_shows_what_was_written(desktop, message, delivery, text):
    told = message(text, text, "ERROR")
    Desktop(app_name="Tócsin").deliver(told, delivery)

    ((app_name, _, _, title, body, _, hints, _),) = desktop.shown
    assert (app_name, title) == ("Tócsin", told.title)
    assert unescape(body) == told.body
    assert "<" not in body
    assert hints["urgency"] == ("y", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="notify-send is Linux's")
def test_the_real_notify_send_without_a_desktop(bus, message, delivery):
    """The bus is there, and nobody on it shows notifications."""
    with pytest.raises(OutOfOrder):
        Desktop().deliver(message(), delivery)
