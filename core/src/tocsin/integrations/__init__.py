"""Callbacks for training frameworks, and alerts of trackers that go to people too.

Each module imports its framework when its callback is first asked for, or its function is
first called.
"""
