"""A workflow of Microsoft Teams on the loopback, for tests.

It needs the extra ``testing``: ``pip install tocsin-teams[testing]``.
"""

from tocsin_teams.testing._double import Card, TeamsDouble

__all__ = ["Card", "TeamsDouble"]
