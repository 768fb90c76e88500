"""The configuration file: found, read, checked against this machine, and described.

`load` either gives settings that can be started as they are, or a `ConfigError` with everything that is wrong.
No sentence it makes holds a value that came from a variable, from `env` or from `headers`.
"""

from serve_app.config.description import description
from serve_app.config.exposure import check_exposure
from serve_app.config.loading import Loaded, demonstration, find, load
from serve_app.config.problems import ConfigError, Problem

__all__ = ["ConfigError", "Loaded", "Problem", "check_exposure", "demonstration", "description", "find", "load"]
