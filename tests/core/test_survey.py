"""What is read off the roster and the replicas: for ingress replicas, and for the owner of the servers."""

from actors.core.endpoints import StdioEndpoint
from actors.core.listing import Item, Listing
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.replica_book import ReplicaBook
from actors.core.roster import Added, Roster
from actors.core.settings import BackendSettings, Naming
from actors.core.survey import Survey
from actors.core.traffic_settings import ScaleSettings
from actors.core.view import BackendView, View

LISTING = Listing(tools=(Item("log", b'{"name":"log"}'), Item("show", b'{"name":"show"}')))


def backend(name: str, replicas: ScaleSettings | int = 1) -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command="x"), timeout=7.0, replicas=replicas)


def status(name: str) -> Status:
    return Status(ReplicaKey(name, 0), "e", 1, "n", "unix:/s", None, ReplicaState.UP, listing=LISTING)


def books() -> tuple[Roster, ReplicaBook]:
    """A server of the file that is up, one that was added and says nothing yet, and one that is being removed."""
    roster, replicas = Roster(), ReplicaBook()
    roster.configure([backend("git"), backend("old")])
    roster.add(Added(backend("web", ScaleSettings(min=0, max=2)), b"{}"))
    for name in ("git", "old"):
        replicas.report(status(name), 0.0)
    replicas.beat(ReplicaKey("git", 0), "e", 1, Load(3), 0.0)
    roster.configure([backend("git")])
    return roster, replicas


def test_a_view_has_what_shall_be_as_it_is_and_apart_from_that_what_leaves() -> None:
    view = Survey(*books()).view(View("g", 4), Naming.QUALIFIED, prefer_zone=False, closing=True)

    assert (view.generation, view.version, view.prefer_zone, view.closing) == ("g", 5, False, True)
    assert list(view.backends) == ["git", "web"]
    assert (view.backends["git"].up, view.backends["git"].listing) == (True, LISTING)
    assert (view.backends["web"].replicas, view.backends["web"].wakes) == ((), True)
    assert list(view.catalogue.tools) == ["git__log", "git__show"]
    assert [(str(each.key), each.state) for each in view.leaving] == [("old:0", ReplicaState.DRAINING)]


def test_an_owner_sees_where_a_server_is_from_and_how_it_is() -> None:
    git, web = Survey(*books()).servers()

    assert (git.name, git.origin, git.source, git.wanted, git.tools) == ("git", "file", b"", 1, 2)
    assert ([each.key.index for each in git.replicas], git.loads) == ([0], (Load(3),))
    assert (web.name, web.origin, web.source, web.wanted, web.tools) == ("web", "added", b"{}", 1, 0)
    assert (web.replicas, web.loads) == ((), ())


def test_a_view_of_a_backend_has_every_setting_that_an_ingress_goes_by() -> None:
    settings = backend("git")
    view = BackendView.of(settings, (), None, LISTING)

    alike = {name for name in BackendView.__dataclass_fields__ if hasattr(settings, name)}
    assert {name: getattr(view, name) for name in alike if name != "replicas"} == {
        name: getattr(settings, name) for name in alike if name != "replicas"
    }
    assert {"timeout", "timeouts", "max_timeout", "park_seconds", "isolation", "balancer", "retry"} <= alike
