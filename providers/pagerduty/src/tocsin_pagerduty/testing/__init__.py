"""PagerDuty's Events API v2 on the loopback, for tests.

It needs the extra ``testing``: ``pip install tocsin-pagerduty[testing]``.
"""

from tocsin_pagerduty.testing._double import Incident, PagerDutyDouble

__all__ = ["Incident", "PagerDutyDouble"]
