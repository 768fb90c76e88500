"""The table of the README, made of what was found: `python -m tests.support.cross_era_table` prints it."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.cross_era_items import ITEMS
from tests.support.cross_era_survey import CLIENTS, SERVERS, Cell, Findings, Kind, cross_era_gateway, survey
from tests.support.cross_era_verdict import Loss, Verdict

BEGIN: Final = "<!-- cross-era: made by `python -m tests.support.cross_era_table` -->"
END: Final = "<!-- end of cross-era -->"

MARKS: Final = dict(zip(Loss, "abcdefg", strict=True))
"""How a loss is named in a field."""


def table(found: Findings) -> str:
    """Markdown: a row for every client with those servers of an era which make no difference to it, and the marks."""
    errors: dict[str, int] = {}
    head = ["client", "server", *ITEMS]
    lines = [_row(head), _row(["---"] * len(head))]
    for client in CLIENTS:
        for servers in _alike(found, client):
            eras = {SERVERS[server].revision for server in servers}
            name = f"{', '.join(eras)}: {', '.join(SERVERS[server].over for server in servers)}"
            fields = [_field(found[Cell(client, servers[0], item)], errors) for item in ITEMS]
            lines.append(_row([f"{client.revision}, {client.over}", name, *fields]))
    lines.append("")
    lines += [f"- **{mark}**: {loss.value}" for loss, mark in MARKS.items()]
    lines += [f"- **{number}**: impossible, with the error `{error}`" for error, number in errors.items()]
    return "\n".join(lines)


def written(readme: str) -> str:
    """The table that stands in a text."""
    return readme.partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0].strip("\n")


def _alike(found: Findings, client: Kind) -> list[list[str]]:
    def findings(server: str) -> tuple[str, Mapping[str, Verdict]]:
        return SERVERS[server].revision, {item: found[Cell(client, server, item)] for item in ITEMS}

    groups: list[list[str]] = []
    for server in SERVERS:
        for group in groups:
            if findings(group[0]) == findings(server):
                group.append(server)
                break
        else:
            groups.append([server])
    return groups


def _field(verdict: Verdict, errors: dict[str, int]) -> str:
    if verdict.absent:
        return ""
    if verdict.broken:
        return "broken"
    if verdict.impossible:
        return f"✗ {errors.setdefault(verdict.impossible, len(errors) + 1)}"
    return " ".join(["✓", *sorted(MARKS[loss] for loss in verdict.losses)])


def _row(fields: list[str]) -> str:
    return f"| {' | '.join(fields)} |"


def main() -> None:
    """Find out, and print."""
    with tempfile.TemporaryDirectory() as folder, cross_era_gateway(Path(folder)) as running:
        print(table(asyncio.run(survey(running))))  # noqa: T201


if __name__ == "__main__":
    main()
