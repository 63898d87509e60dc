"""A command that is watched from outside."""
