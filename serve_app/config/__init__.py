"""The configuration file: found, read, checked against this machine, and described.

`load` either gives settings that can be started as they are, or a `ConfigError` with everything that is wrong.
No sentence it makes holds a value that came from a variable, from `env` or from `headers`.
"""

from serve_app.config.description import description
from serve_app.config.exposure import check_exposure
from serve_app.config.loading import Loaded, demonstration, find, load, read_entry
from serve_app.config.problems import ConfigError, EntryError, Problem
from serve_app.config.reading import read_json

__all__ = [
    "ConfigError",
    "EntryError",
    "Loaded",
    "Problem",
    "check_exposure",
    "demonstration",
    "description",
    "find",
    "load",
    "read_entry",
    "read_json",
]
