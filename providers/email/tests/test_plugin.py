import subprocess
import sys

from tocsin._plugins import load
from tocsin_email import Email


def test_entry_point():
    """The entry point's name leads to the provider."""
    assert load("email") is Email


def test_import_is_cheap():
    """What speaks to a server is imported when there is something to send."""
    code = (
        "import sys, tocsin_email._plugin\n"
        "print(sorted({'smtplib', 'ssl', 'socket', 'jinja2'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"
