"""An ntfy server on the loopback, for tests.

It needs the extra ``testing``: ``pip install tocsin-ntfy[testing]``.
"""

from tocsin_ntfy.testing._double import NtfyDouble, Published

__all__ = ["NtfyDouble", "Published"]
