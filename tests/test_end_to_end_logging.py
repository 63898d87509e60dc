"""Everything that a program logs, at DEBUG, goes to people through the real providers: it
arrives, and nothing that the providers log does."""

from __future__ import annotations

import os

import pytest
from support import bot_at, inbox_at

from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble

ROOT_AT_DEBUG = """
import logging, sys
import tocsin
from tocsin.logging import AlertHandler

class Kept(logging.Handler):
    names = set()
    def emit(self, record):
        self.names.add((record.name, record.threadName))

logging.basicConfig(level="DEBUG", handlers=[Kept(), AlertHandler("DEBUG")])
log = logging.getLogger("train")
"""


@pytest.fixture
def services():
    with (
        SlackDouble(token="xoxb-double", channels={"C0ALERTS": "alerts"}) as slack,
        MailDouble(username="ada", password="secret") as mail,
    ):
        yield slack, mail


@pytest.fixture
def wired(place, services):
    """Channels of a bot, a webhook and a mailbox."""
    slack, mail = services
    webhook = {"provider": "slack", "webhook_url": slack.webhook_url()}
    channels = {"bot": bot_at(slack.base_url), "hook": webhook, "mail": inbox_at(mail)}
    place.configure(channels, submit_timeout="10s")
    return place


def test_the_root_logger_at_debug(wired, services):
    """Two alerts are raised, and three channels get two messages each, however much the
    transports log meanwhile; what fails at first is tried again."""
    slack, mail = services
    slack.fail_next("http_500")
    output = wired.run(
        ROOT_AT_DEBUG + "import time\n"
        "run = tocsin.init(id='owl')\n"
        "log.error('loss is %f', 1.5)\n"
        "log.debug('step %d', 1)\n"
        "while run._notifier.pending():\n"
        "    time.sleep(0.05)\n"
        "run.finish()\n"
        "print(sorted(Kept.names))\n"
        "n = tocsin.Notifier.from_config(mode='offline')\n"
        "print(sorted(r.alert.title for r in n.store().history(limit=99)))\n",
    )

    transports, titles = output.splitlines()
    assert titles == "['loss is 1.500000', 'step 1']"
    for channel in ("bot", "hook", "mail"):
        assert f"'tocsin {channel}'" in transports
    assert len(slack.messages) == 4
    assert len(mail.messages) == 2


def test_at_the_end_of_the_interpreter(place):
    """What is logged when Tocsin is closed already is kept; what is logged when nothing is
    left makes no noise."""
    process = place.python(
        """
import atexit, logging, sys
atexit.register(lambda: logging.error("late"))
import tocsin
from tocsin.logging import AlertHandler

logging.basicConfig(handlers=[AlertHandler()])

class Last:
    def __del__(self, error=logging.error):
        error("too late")

sys.modules["last"] = Last()
tocsin.init(id="owl")
logging.error("early")
"""
    )
    _, errors = process.communicate(timeout=60)
    place.tocsin("drain")

    assert (process.returncode, errors) == (0, "")
    titles = [line["title"] for line in place.delivered()]
    assert titles[:2] == ["early", "late"]
    assert set(titles[2:]) <= {"too late"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child(place):
    """It tells its own, and is not in the way of its parent."""
    place.run(
        """
import logging, os, warnings
import tocsin
from tocsin.logging import AlertHandler

warnings.simplefilter("ignore")
logging.basicConfig(handlers=[AlertHandler()])
run = tocsin.init(id="owl")
logging.error("parent")
if pid := os.fork():
    os.waitpid(pid, 0)
    logging.error("parent again")
else:
    logging.error("child")
run.finish(timeout=30)
"""
    )

    titles = sorted(line["title"] for line in place.delivered())
    assert titles == ["child", "parent", "parent again"]


def test_a_run_that_begins_while_others_log(place):
    """No thread waits for another for good: the handler holds no lock."""
    place.run(
        """
import logging, threading
import tocsin
from tocsin.logging import AlertHandler

logging.basicConfig(level="DEBUG", handlers=[AlertHandler("DEBUG")])

def chat(number):
    for step in range(30):
        logging.error(f"thread {number} step {step}")

threads = [threading.Thread(target=chat, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
for _ in range(3):
    tocsin.init(id="owl", mode="offline")
for thread in threads:
    thread.join()
""",
    )
