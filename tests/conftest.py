"""What holds for every test."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # how long an example takes on a busy machine says nothing of it
settings.load_profile("unhurried")
