"""What locust runs: `locust -f load/locustfile.py --host http://127.0.0.1:8080` at the top of a checkout."""

from load.scenarios.steady import LegacyUser, ModernUser

__all__ = ["LegacyUser", "ModernUser"]
