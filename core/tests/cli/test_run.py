"""Real commands under `tocsin run`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tocsin._cli._run_command import called

if sys.platform == "win32":
    pytest.skip("it needs signals", allow_module_level=True)

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _no_core(tmp_path, monkeypatch):
    """No file is left anywhere by a program that crashes."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    monkeypatch.delenv("TOCSIN_RUN_ID", raising=False)
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture(autouse=True)
def _hears_all(request):
    """Ada wants to hear of what finished, too."""
    if "post" not in request.fixturenames:
        return
    config = Path(request.getfixturevalue("post").config)
    text = config.read_text().replace("channels =", 'kinds = ["*"]\nchannels =', 1)
    config.write_text(text)


@pytest.fixture
def process():
    """As everywhere, and for bytes too."""
    started = []

    def process(*args, **options):
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "tocsin", *map(str, args)]
        started.append(subprocess.Popen(command, **{"text": True, **pipes, **options}))
        return started[-1]

    yield process
    for one in started:
        one.kill()
        for stream in filter(None, (one.stdin, one.stdout, one.stderr)):
            stream.close()
        one.wait()


@pytest.fixture
def run(process):
    """Return what runs a command to its end: its exit status and its output."""

    def run(*args, stdin=None, **options):
        started = process(
            "run", *args, text=False, **{"stdin": subprocess.PIPE, **options}
        )
        out, err = started.communicate(stdin, timeout=PATIENCE)
        return started.returncode, out, err

    return run


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def titles(post):
    return [one["parts"]["title"].strip() for one in post.messages]


def arrived(post):
    """Return what came, while more may be just coming."""
    with contextlib.suppress(json.JSONDecodeError):
        return post.messages
    return []


def python(code):
    return [sys.executable, "-c", code]


# --- how it ends


@pytest.mark.parametrize(
    ("command", "status", "title"),
    [
        (python("pass"), 0, "INFO: job finished"),
        (python("raise SystemExit(3)"), 3, "ERROR: job failed: exit code 3"),
        (python("import os; os._exit(3)"), 3, "ERROR: job failed: exit code 3"),
        (
            python("import ctypes; ctypes.string_at(0)"),
            -signal.SIGSEGV,
            "ERROR: job crashed (SIGSEGV)",
        ),
        (
            python("import os; os.abort()"),
            -signal.SIGABRT,
            "ERROR: job crashed (SIGABRT)",
        ),
        (["sh", "-c", "kill -9 $$"], -9, "ERROR: job was killed by SIGKILL"),
        (["sh", "-c", "kill -2 $$"], -2, "WARN: job was interrupted (Ctrl-C)"),
        (
            ["sh", "-c", "echo no; exit 139"],
            139,
            "ERROR: job failed: exit code 139, which a shell makes of SIGSEGV",
        ),
        (["no-such-command"], 127, "ERROR: job failed: no command"),
        (["/"], 126, "ERROR: job failed: '/' may not be executed"),
    ],
)
def test_ends(command, status, title, run, post):
    """Whoever called sees the same end as without us, and people hear of it."""
    returned, _, _ = run("--name", "job", "--", *command)

    assert returned == status
    (told,) = titles(post)
    told = told.replace("there is no command 'no-such-command'", "no command")
    assert told.replace(", core dumped", "") == title


def test_the_last_output_is_told(run, post, tmp_path):
    """The end of both streams is in the alert, and without its secrets."""
    code = "for i in range(50): print('line', i)"
    _, out, _ = run(*python(f"{code}\nprint('token=abcdefgh'); raise SystemExit(1)"))

    (message,) = post.messages
    assert out.count(b"\n") == 51
    assert b"token=abcdefgh" in out
    assert "line 49\ntoken=…" in message["text"]
    assert "line 9\n" not in message["text"]
    assert message["attachments"] == ["output.txt"]


def test_a_command_that_is_not_there(run, post):
    """It is told on the terminal too."""
    _, out, err = run("no-such-command", "--help")

    assert (out, err) == (b"", b"tocsin: there is no command 'no-such-command'\n")


def test_a_script_without_a_first_line(run, tmp_path):
    """It runs as in a shell."""
    script = tmp_path / "job"
    script.write_text("echo ran $1\n")
    script.chmod(0o700)

    assert run(script, "now")[:2] == (0, b"ran now\n")


def test_a_time_limit(run, post):
    """Whoever does not end at SIGTERM is killed, with all that it started."""
    code = (
        "import os, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1000)"
    )
    status, out, _ = run(
        "--name", "job", "--timeout", "1s", "--grace", "1s", *python(code)
    )

    assert status == 124
    assert titles(post) == ["ERROR: job was killed by SIGKILL: time limit of 1.0 s"]
    until(lambda: not is_alive(int(out)))


def test_a_time_limit_that_is_heard(run, post):
    """A command that ends at SIGTERM is not killed; a descendant that does not, is."""
    stubborn = "trap '' TERM; echo $$; while :; do sleep 0.1; done"
    script = (
        f'sh -c "{stubborn.replace("$", chr(92) + "$")}" & trap "exit 0" TERM; wait'
    )
    status, out, _ = run(
        "--name", "job", "--timeout", "1s", "--grace", "2s", "sh", "-c", script
    )

    assert status == 124
    assert titles(post) == ["ERROR: job was killed: time limit of 1.0 s"]
    until(lambda: not is_alive(int(out)))


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_out_of_memory(run, post):
    """A limit of memory that the program hears of itself is told as what it is."""
    code = "x = bytearray(2_000_000_000)"
    script = f'ulimit -v 1000000; exec "{sys.executable}" -c "{code}"'
    status, _, _ = run("--name", "job", "sh", "-c", script)

    assert status == 1
    assert titles(post) == ["ERROR: job ran out of memory: MemoryError"]


@pytest.fixture
def memory_group():
    """A control group of this machine that has 64 MB."""
    for folder, limit in [
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ]:
        group = folder / f"tocsin-test-{os.getpid()}"
        if not (folder / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit).write_text(str(64 * 1024**2))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        yield group
        deadline = time.monotonic() + PATIENCE
        while group.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # until the last process is gone
                group.rmdir()
            time.sleep(0.05)
        return
    pytest.skip("NOT TESTED: no memory control group can be made on this machine")


@pytest.mark.parametrize("is_worker", [False, True])
def test_a_kill_for_want_of_memory(memory_group, is_worker, post):
    """What the kernel kills for memory is told so, be it only a process that was started."""
    eater = f'exec "{sys.executable}" -c "x = bytearray(1_000_000_000)"'
    script = f"({eater}); echo $?; exit 7" if is_worker else eater
    enter = f'echo $$ > {memory_group}/cgroup.procs; exec "$@"'
    tocsin = [sys.executable, "-m", "tocsin", "run", "--name", "job"]
    done = subprocess.run(
        ["sh", "-c", enter, "sh", *tocsin, "sh", "-c", script],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.returncode == (7 if is_worker else -signal.SIGKILL), done.stderr
    reason = "the kernel killed a process for want of memory"
    told = "" if is_worker else " (SIGKILL)"
    assert titles(post) == [f"ERROR: job ran out of memory{told}: {reason}"]


# --- signals

WAITS = """
import os, signal, sys, time
def handle(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGTERM: sys.exit({code})
for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGTERM"):
    signal.signal(signal.Signals[name], handle)
print("ready", flush=True)
while True: time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, "INFO: job finished"), (5, "ERROR: job failed: exit code 5")],
)
def test_signals_are_passed_on(code, expected, process, post):
    """What is sent to us alone reaches the command, once."""
    started = process("run", "--name", "job", *python(WAITS.format(code=code)))
    assert started.stdout.readline() == "ready\n"
    names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGTERM"]
    for name in names:
        started.send_signal(signal.Signals[name])
        assert started.stdout.readline() == f"{name}\n"
    started.communicate(timeout=PATIENCE)

    assert started.returncode == code
    assert titles(post) == [expected]


ELSEWHERE = """
import sys
import tocsin._supervisor._signals as signals
signals.held_back = signals.HandledSignals
from tocsin._cli import main
sys.argv = ["tocsin", *sys.argv[1:]]
main()
"""


def test_signals_where_nobody_tells_their_sender(post):
    """As on macOS: what is sent is passed on, and the command's end is told."""
    words = ["run", "--name", "job", *python(WAITS.format(code=5))]
    started = subprocess.Popen(
        [*python(ELSEWHERE), *words],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout.readline() == "ready\n"
    for name in ("SIGHUP", "SIGINT", "SIGUSR1", "SIGCONT", "SIGTERM"):
        started.send_signal(signal.Signals[name])
        assert started.stdout.readline() == f"{name}\n"
    started.communicate(timeout=PATIENCE)

    assert started.returncode == 5
    assert titles(post) == ["ERROR: job failed: exit code 5"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "ERROR: job was killed by SIGTERM"),
        ({"SLURM_JOB_ID": "7"}, "WARN: job was preempted (SIGTERM)"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "WARN: job was preempted (SIGTERM)"),
    ],
)
def test_sigterm(variables, expected, process, post):
    """A scheduler's SIGTERM is told as a preemption; we die of it like the command."""
    started = process(
        *("run", "--name", "job", "sh", "-c", "echo ready; exec sleep 1000"),
        env={**os.environ, **variables},
    )
    assert started.stdout.readline() == "ready\n"
    started.terminate()
    started.communicate(timeout=PATIENCE)

    assert started.returncode == -signal.SIGTERM
    assert titles(post) == [expected]


def test_what_is_ignored_stays_ignored(process, post):
    """Under nohup neither we nor the command end with the terminal."""
    code = "import signal; print(signal.getsignal(signal.SIGHUP).name, flush=True); input()"
    hangs_up = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "os.execv(sys.executable, [sys.executable, '-m', 'tocsin', 'run', *sys.argv[1:]])"
    )
    started = subprocess.Popen(
        [*python(hangs_up), *python(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout.readline() == "SIG_IGN\n"
    started.send_signal(signal.SIGHUP)
    started.communicate("\n", timeout=PATIENCE)
    assert started.returncode == 0


def test_killed_from_outside(process, post):
    """A SIGKILL of somebody's is told as one, with how long it ran."""
    started = process("run", "--name", "job", "sh", "-c", "echo $$; exec sleep 1000")
    os.kill(int(started.stdout.readline()), signal.SIGKILL)
    started.communicate(timeout=PATIENCE)

    assert started.returncode == -signal.SIGKILL
    assert titles(post) == ["ERROR: job was killed by SIGKILL"]


# --- what goes in and out


def test_output_is_unchanged(run, post):
    """Both streams are passed on byte for byte, and apart."""
    code = (
        "import os\n"
        "data = bytes(range(256)) * 2000\n"
        "for start in range(0, len(data), 1000):\n"
        "    os.write(1, data[start:start + 1000])\n"
        "    os.write(2, data[start:start + 1000][::-1])"
    )
    status, out, err = run(*python(code))

    data = bytes(range(256)) * 2000
    assert (status, out) == (0, data)
    parts = [data[start : start + 1000][::-1] for start in range(0, len(data), 1000)]
    assert err == b"".join(parts)


def test_one_place_keeps_its_order(run, post):
    """What goes to one place through both streams stays in order."""
    code = "import os\nfor i in range(500): os.write(1 + i % 2, b'%d\\n' % i)"
    _, out, _ = run(*python(code), stderr=subprocess.STDOUT)

    assert out.split() == [b"%d" % number for number in range(500)]


def test_input_is_passed_on(run, post):
    """The command reads our standard input."""
    assert run("cat", stdin=b"\x00\xffwords\n")[:2] == (0, b"\x00\xffwords\n")


def test_all_words_are_the_commands(run, post):
    """What stands from the command on is its own, even what looks like ours."""
    words = ["--help", "--name", "x", "--", "-q"]

    for line in (["echo", *words], ["--", "echo", *words]):
        assert run(*line)[:2] == (0, b"--help --name x -- -q\n")


def test_whoever_keeps_the_output_open_is_not_waited_for(run, post):
    """A process that outlives the command does not hold us."""
    status, out, _ = run("--name", "job", "sh", "-c", "sleep 1000 & echo $!; exit 3")

    os.kill(int(out), signal.SIGKILL)
    assert status == 3
    assert titles(post) == ["ERROR: job failed: exit code 3"]


def test_a_reader_that_goes_away(process, post):
    """The command learns it as it would without us."""
    started = process("run", "yes")
    assert started.stdout.readline() == "y\n"
    started.stdout.close()
    assert started.wait(PATIENCE) == -signal.SIGPIPE
    assert started.stderr.read() == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed, post):
    """A stream that is closed harms nobody."""
    command = f'"{sys.executable}" -m tocsin run sh -c "echo x; exit 4" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)

    assert done.returncode == 4
    assert len(post.messages) == 1


def test_a_slow_reader_gets_everything(process, post):
    """The end is told before a slow reader has taken all of the output."""
    code = (
        "import os\nfor _ in range(1000): os.write(1, b'x' * 999 + b'\\n')\n"
        "raise SystemExit(3)"
    )
    started = process("run", "--name", "job", *python(code), text=False)
    until(lambda: arrived(post))
    out, _ = started.communicate(timeout=PATIENCE)

    assert len(out) == 1_000_000
    assert started.returncode == 3


# --- a terminal

LEADS = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "tocsin", "run", *sys.argv[1:]])
"""


class Terminal:
    """What a person sees and types."""

    def __init__(self, master):
        self._master = master
        self.seen = b""

    def hang_up(self):
        os.close(self._master)
        self._master = -1

    def type(self, keys):
        os.write(self._master, keys)

    def expect(self, words):
        while words not in self.seen:
            self.seen += os.read(self._master, 4096)

    def read_to_end(self):
        with contextlib.suppress(OSError):  # everybody has closed it
            while chunk := os.read(self._master, 4096):
                self.seen += chunk
        return self.seen


@pytest.fixture
def terminal(post):
    """Return what runs a command under ``tocsin run`` in a terminal of its own."""
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    started, screen = [], Terminal(master)

    def start(*words, code=LEADS, **streams):
        streams = {**dict.fromkeys(("stdin", "stdout", "stderr"), slave), **streams}
        started.append(subprocess.Popen([*python(code), *map(str, words)], **streams))
        os.close(slave)
        return started[0], screen

    yield start
    for one in started:
        one.kill()
        one.wait()
    if screen._master >= 0:
        screen.hang_up()


def test_a_terminal_stays_one(terminal):
    """The command has a terminal as large as ours, and its lines end once."""
    code = "import os; print(os.isatty(0), os.isatty(1), os.isatty(2), os.get_terminal_size())"
    started, screen = terminal(*python(code))

    assert screen.read_to_end() == (
        b"True True True os.terminal_size(columns=111, lines=33)\r\n"
    )
    assert started.wait(PATIENCE) == 0


def test_a_file_beside_a_terminal(terminal, tmp_path):
    """Only what goes to a terminal has one."""
    with (tmp_path / "out").open("wb") as out:
        code = "import os, sys; print(os.isatty(1), os.isatty(2)); print('x', file=sys.stderr)"
        started, screen = terminal(*python(code), stdout=out)
        assert screen.read_to_end() == b"x\r\n"
    assert started.wait(PATIENCE) == 0
    assert (tmp_path / "out").read_bytes() == b"False True\n"


INTERRUPTED = """
import signal, time
count = 0
def handle(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, handle)
print("ready", flush=True)
while not count: time.sleep(0.01)
time.sleep(0.5)
print("interrupts:", count, flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_ctrl_c(is_elsewhere, terminal, post):
    """The terminal's Ctrl-C comes once, and is told as one."""
    code = LEADS
    if is_elsewhere:
        code = f"{LEADS.rpartition('os.execv')[0]}sys.argv.insert(1, 'run'){ELSEWHERE}"
    words = ["--name", "job", *python(INTERRUPTED)]
    started, screen = terminal(*words, code=code)
    screen.expect(b"ready")
    screen.type(b"\x03")

    assert b"interrupts: 1\r\n" in screen.read_to_end()
    assert started.wait(PATIENCE) == -signal.SIGINT
    assert titles(post) == ["WARN: job was interrupted (Ctrl-C)"]


def test_a_sent_sigint_in_a_terminal(terminal, post):
    """An interrupt that somebody sends to us alone is passed on, once."""
    started, screen = terminal("--name", "job", *python(INTERRUPTED))
    screen.expect(b"ready")
    started.send_signal(signal.SIGINT)

    assert b"interrupts: 1\r\n" in screen.read_to_end()
    assert started.wait(PATIENCE) == -signal.SIGINT


def test_a_window_that_changes(terminal, post):
    """The command hears that its window changed, and how large it is now."""
    import fcntl
    import struct
    import termios

    code = (
        "import os, signal\n"
        "def tell(*_): print(*os.get_terminal_size(), flush=True)\n"
        "signal.signal(signal.SIGWINCH, tell)\n"
        "print('ready', flush=True)\n"
        "import time\n"
        "while os.get_terminal_size()[0] == 111: time.sleep(0.01)\n"
        "time.sleep(0.2)"
    )
    started, screen = terminal(*python(code))
    screen.expect(b"ready")
    size = struct.pack("HHHH", 44, 77, 0, 0)
    fcntl.ioctl(screen._master, termios.TIOCSWINSZ, size)

    assert b"77 44\r\n" in screen.read_to_end()
    assert started.wait(PATIENCE) == 0


SHELL = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(
    [sys.executable, "-m", "tocsin", "run", *sys.argv[1:]], process_group=0
)
os.tcsetpgrp(0, job.pid)
_, status = os.waitpid(job.pid, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else "ended", flush=True)
os.killpg(job.pid, signal.SIGCONT)
_, status = os.waitpid(job.pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_ctrl_z(terminal, post):
    """A job that is stopped is seen to be, and goes on when the shell says so."""
    code = (
        "import signal, sys, time\n"
        "def go_on(*_): print('went on', flush=True); sys.exit(6)\n"
        "signal.signal(signal.SIGCONT, go_on)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)"
    )
    started, screen = terminal("--name", "job", *python(code), code=SHELL)
    screen.expect(b"ready")
    screen.type(b"\x1a")
    screen.expect(b"stopped")
    screen.expect(b"went on")
    screen.read_to_end()

    assert started.wait(PATIENCE) == 6
    assert titles(post) == ["ERROR: job failed: exit code 6"]


def test_one_that_hangs_up(terminal, post):
    """A terminal that is gone ends the command as ever, and that is told."""
    command = ["sh", "-c", "echo ready; exec sleep 1000"]
    started, screen = terminal("--name", "job", *command)
    screen.expect(b"ready")
    screen.hang_up()

    assert started.wait(PATIENCE) == -signal.SIGHUP
    assert titles(post) == ["ERROR: job was killed by SIGHUP"]


# --- what is told meanwhile


def test_a_stall(process, post, tmp_path):
    """Silence is told once, and so is its end."""
    script = (
        'echo one; while ! [ -e "$0" ]; do sleep 0.1; done;'
        'echo two; while ! [ -e "$0.2" ]; do sleep 0.1; echo three; done'
    )
    started = process(
        *("run", "--name", "job", "--stall", "2s", "--project", "mnist"),
        *("sh", "-c", script, tmp_path / "go"),
    )
    (stalled,) = until(lambda: arrived(post))
    (tmp_path / "go").touch()
    until(lambda: len(arrived(post)) == 2)
    (tmp_path / "go.2").touch()
    started.communicate(timeout=PATIENCE)

    assert stalled["parts"]["title"].strip() == "ERROR: job stalls: no output for 2.0 s"
    assert "Last output:\none" in stalled["text"]
    assert titles(post)[1] == "INFO: Resolved: job stalls: no output for 2.0 s"
    assert titles(post)[2:] == ["INFO: job finished"]


def test_a_stall_that_ends_with_the_command(process, post, tmp_path):
    """Its last words end a stall, too; an end without words tells enough."""
    script = 'while ! [ -e "$0" ]; do sleep 0.1; done; $1'
    for number, last in enumerate(["echo two", ":"]):
        go = tmp_path / f"go{number}"
        words = ("--name", "job", "--stall", "0.3s", "sh", "-c", script, go, last)
        started = process("run", *words)
        until(lambda: arrived(post))
        go.touch()
        started.communicate(timeout=PATIENCE)
        assert len(titles(post)) == 3 - number
        assert "INFO: job finished" in titles(post)
        post._file.unlink()


# --- configuration


def test_mistakes_come_first(run, configure, tmp_path):
    """With mistakes in the configuration nothing is started."""
    configure("[user]\nchannels = ['nowhere']")
    status, _, err = run("touch", tmp_path / "started")

    assert status == 2
    assert b"the configuration has a mistake" in err
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("options", [["--team", "nobody"], ["--timeout", "soon"], []])
def test_misuse(options, run, post, configure, tmp_path):
    """What is wrong with the line is told, and nothing is started."""
    file = tmp_path / "started"
    status, _, err = run(*options, *(["touch", file] if options else []))

    assert status == 2
    assert err
    assert not file.exists()


def test_what_the_command_is_told(run, post, history):
    """The command knows its run, and who supervises it."""
    script = 'echo $TOCSIN_RUN_ID $([ "$TOCSIN_SUPERVISOR" = $PPID ] && echo ours)'
    _, out, _ = run("--id", "wise-owl", "--tag", "night", "sh", "-c", script)

    assert out == b"wise-owl ours\n"
    (alert,) = [one for one in history() if one["type"] == "alert"]
    assert alert["kind"] == "finished"
    assert alert["tags"] == ["night"]
    assert alert["origin"]["run"] == "wise-owl"


def test_a_run_has_an_id(run, post):
    """Without an id of its own a run has a new one, or that of whoever started it."""
    one, other = (run("sh", "-c", "echo $TOCSIN_RUN_ID")[1] for _ in range(2))
    assert re.fullmatch(rb"[a-z0-9]{8}\n", one)
    assert one != other
    inherited = {**os.environ, "TOCSIN_RUN_ID": "wise-owl"}
    assert run("sh", "-c", "echo $TOCSIN_RUN_ID", env=inherited)[1] == b"wise-owl\n"


def test_finished_is_left_out_by_whoever_wishes(run, configure, tmp_path):
    """A subscription chooses among the ends as among all alerts."""
    configure(f"""
        [user]
        [[user.subscriptions]]
        channels = ["dm"]
        kinds = ["crashed"]
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)

    assert run("true") == (0, b"", b"")
    assert not (tmp_path / "post").exists()
    assert run("false") == (1, b"", b"")
    assert (tmp_path / "post").exists()


def test_without_channels(run):
    """Whoever has no channel sees what would have been sent, when it is bad."""
    assert run("true") == (0, b"", b"")
    status, _, err = run("false")

    assert status == 1
    assert b"[ERROR] false failed: exit code 1" in err
    assert b"no channel is configured" in err


def test_disabled(run, post, tmp_path):
    """With alerts switched off it is only the command that runs."""
    environment = {**os.environ, "TOCSIN_MODE": "disabled"}

    assert run("false", env=environment) == (1, b"", b"")
    assert not post.messages
    assert not (tmp_path / "state").exists()


def test_a_channel_that_fails(run, configure):
    """What could not be told is said in one line, and the exit code stays."""
    configure("""
        [user]
        channels = ["dm"]
        [channels.dm]
        provider = "door"
    """)
    status, _, err = run("--name", "job", "sh", "-c", "exit 3")

    assert status == 3
    (line,) = err.decode().splitlines()
    assert line.startswith("tocsin: how job ended was not delivered to dm: no such")


def test_a_channel_that_is_busy(run, configure):
    """What is kept for later is said in one line."""
    configure("""
        [user]
        channels = ["dm"]
        [channels.dm]
        provider = "later"
    """)
    status, _, err = run("sh", "-c", "exit 3")

    assert status == 3
    (line,) = err.decode().splitlines()
    assert line.startswith("tocsin: 1 delivery is kept: the next program")


def test_what_is_held_is_not_waited_for(run, configure, tmp_path, hours):
    """What quiet hours hold stays kept."""
    configure(f"""
        [user]
        channels = ["dm"]
        quiet_hours = "{hours}"
        time_zone = "UTC"
        quiet_max_level = "ERROR"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)
    status, _, err = run("sh", "-c", "exit 3")

    assert status == 3
    assert b"1 delivery is kept" in err


def test_a_state_that_cannot_be_kept(run, post, tmp_path):
    """A state directory that is a file stops nothing; it is told once."""
    (tmp_path / "state").touch()
    status, out, err = run("sh", "-c", "echo x; exit 3")

    assert (status, out) == (3, b"x\n")
    assert len(err.splitlines()) == 1
    assert len(post.messages) == 1


def test_a_store_that_is_damaged(run, post, tmp_path):
    """Neither does a store that is none."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "tocsin.db").write_text("no database" * 1000)
    status, out, err = run("sh", "-c", "echo x; exit 3")

    assert (status, out) == (3, b"x\n")
    assert len(err.splitlines()) <= 1


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py --lr 1", "train.py"),
        ("/usr/bin/python3.12 -u src/train.py", "train.py"),
        ("python -m pkg.mod --config x.py", "pkg.mod"),
        ("python -W error -m pkg.mod", "pkg.mod"),
        ("python train.py -m large", "train.py"),
        ("python -c pass", "python"),
        ("python -m torch.distributed.run --nproc-per-node 8 train.py", "train.py"),
        ("torchrun --nproc-per-node 8 train.py", "train.py"),
        ("uv run train.py", "train.py"),
        ("bash ./night.sh", "night.sh"),
        ("Rscript fit.R", "fit.R"),
        ("./night.sh", "night.sh"),
        ("make all.py", "make"),
        ("env A=1 make", "env"),
        ("/opt/solver/bin/solve input.dat", "solve"),
        ("/", "/"),
    ],
)
def test_what_a_command_is_called(command, name):
    """People call it by its script, its module, or its program."""
    assert called(command.split()) == name


# --- a command that knows of Tocsin


OWL = """
import os, sys, tocsin
run = tocsin.init("mnist", name="owl", tags=["night"])
run.log({"loss": 0.5}, step=7)
print("epoch 3", flush=True)
"""


def runs(process):
    listed, _ = process("runs", "--json").communicate(timeout=PATIENCE)
    return [json.loads(line) for line in listed.splitlines()]


def test_an_exception_is_told_with_what_the_supervisor_knows(run, post, process):
    """One alert: the program's exception and metrics, the supervisor's output and code."""
    status, _, _ = run("--", *python(OWL + "1 / 0"))

    assert status == 1
    (told,) = post.messages
    assert "owl failed: ZeroDivisionError: division by zero" in told["parts"]["title"]
    assert "Last output:\nepoch 3" in told["text"]
    assert told["text"].count("ZeroDivisionError") == 2  # the title's, and the text's
    assert {one["state"] for one in runs(process)} == {"failed"}


def test_an_end_without_a_word_is_told_in_the_program_s_name(run, post, process):
    """What the program said of itself before is known: its name, its last metrics."""
    run("--", *python(OWL + "os._exit(3)"))

    (told,) = post.messages
    assert "owl failed: exit code 3" in told["parts"]["title"]
    assert {(one["state"], one["is_lost"]) for one in runs(process)} == {
        ("failed", False)
    }


def test_both_finish(run, post):
    """That it finished is told once."""
    run("--", *python(OWL))

    assert titles(post) == ["INFO: owl finished"]


def test_a_time_limit_is_told_as_the_reason(run, post):
    """The program is asked to end, and tells so; why, the supervisor knows."""
    status, _, _ = run(
        "--timeout", "3s", "--", *python(OWL + "import time; time.sleep(60)")
    )

    assert status == 124
    (title,) = titles(post)
    assert title == "ERROR: owl was killed by SIGTERM: time limit of 3.0 s"


def test_what_a_program_starts_is_not_supervised(run, post):
    """A program that the command starts is a run of its own, with its own end."""
    inner = "import tocsin; tocsin.init(name='inner'); 1 / 0"
    outer = f"import subprocess; subprocess.run([sys.executable, '-c', {inner!r}])"
    run("--", *python(OWL + outer))

    assert sorted(titles(post)) == [
        "ERROR: inner failed: ZeroDivisionError: division by zero",
        "INFO: owl finished",
    ]


def test_a_second_run_of_a_program(run, post):
    """It is watched as the first one is: its end is told once, in its name."""
    second = "run.finish(); tocsin.init(name='second'); 1 / 0"
    run("--", *python(OWL + second))

    assert sorted(titles(post)) == [
        "ERROR: second failed: ZeroDivisionError: division by zero",
        "INFO: owl finished",
    ]


def test_what_the_program_said_has_the_last_word(run, post):
    """It failed, as it says, though it exits with 0."""
    status, _, _ = run("--", *python(OWL + "run.finish(exit_code=1)"))

    assert status == 0
    assert titles(post) == ["ERROR: owl failed: exit code 1"]


def test_with_a_rank(run, post):
    """The alert of one rank's command waits for the others, and is sent by whoever is last."""
    environment = {**os.environ, "SLURM_JOB_ID": "77", "RANK": "0", "WORLD_SIZE": "4"}
    status, _, err = run("--name", "job", "--", "sh", "-c", "exit 3", env=environment)

    assert (status, err) == (3, b"")
    assert titles(post) == ["ERROR: job failed: exit code 3 (rank 0)"]


def test_two_commands_of_one_job(run, post):
    """Each end is told."""
    for code in (3, 4):
        environment = {**os.environ, "SLURM_JOB_ID": "77"}
        run("--name", "job", "--", "sh", "-c", f"exit {code}", env=environment)

    assert titles(post) == [
        "ERROR: job failed: exit code 3",
        "ERROR: job failed: exit code 4",
    ]
