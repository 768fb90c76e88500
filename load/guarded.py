"""What authentication, a policy, limits and the audit cost: two gateways in front of one server, in turns.

    python -m load.guarded --concurrency 1,16,64 --seconds 5 --rounds 5
    python -m load.guarded --parts auth,policy

The first lets in everybody and writes nothing down. The second verifies a token, goes by roles with conditions, counts
each call under several limits, and writes an event for each. Every answer is checked.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from load.compare import Target, add_plan_arguments, plan_of, run
from load.steady import TOOL, gateway
from tests.support.guarded import AUDIENCE, ISSUER, SECRET, token
from tests.support.processes import listening

PARTS: Final = ("auth", "policy", "limits", "audit")

PLENTY: Final = 100_000_000
"""Of calls: the limits count, and refuse nobody."""


def sections(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Of a configuration in which these parts are on."""
    key = folder / "secret"
    key.write_text(SECRET)
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "key_file": str(key)}
    reader = {"allow": [{"servers": ["docs-*"], "tools": ["*"], "when": {"annotations": {"readOnlyHint": True}}}]}
    caller = {
        "inherits": ["reader"],
        "allow": [{"servers": ["ec*"], "tools": ["*"], "when": {"networks": ["127.0.0.0/8", "10.0.0.0/8"]}}],
        "deny": [{"servers": ["*"], "tools": ["drop_*"]}],
    }
    rates = [
        {"name": "/".join(by), "calls": PLENTY, "seconds": 60, "by": by}
        for by in (["global"], ["principal"], ["principal", "tool"])
    ]
    every = {
        "auth": {"issuers": [issuer]},
        "policy": {
            "roles": {"reader": reader, "caller": caller},
            "assignments": [{"role": "caller", "groups": ["load"]}, {"role": "reader", "everyone": True}],
        },
        "limits": {"rates": rates, "quotas": [{"calls": 10_000}]},
        "audit": {"file": str(folder / "audit.jsonl")},
    }
    return {part: every[part] for part in parts}


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=_parts, default=PARTS, metavar="PART,…", help=f"of {', '.join(PARTS)}")
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    credential = f"Bearer {token(sub='load', groups=['load'])}" if "auth" in arguments.parts else ""
    with (
        tempfile.TemporaryDirectory(prefix="only1mcp-load-") as name,
        listening("tests.support.echo_server", "--http", "0") as server,
    ):
        backend = {"url": server.url}
        try:
            plan_of(arguments, [])  # refuse before the long start
            with (
                gateway(backend, 1) as open_url,
                gateway(backend, 1, sections(Path(name), arguments.parts), credential) as guarded_url,
            ):
                targets = [Target("open", open_url, TOOL), Target("guarded", guarded_url, TOOL, credential)]
                return run(plan_of(arguments, targets))
        except (OSError, RuntimeError, ValueError) as error:
            print(f"load.guarded: {error}", file=sys.stderr)
            return 2


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
