"""Which calls meet in one replica where nothing is bound: by session, by header, by argument."""

from collections.abc import Sequence

from actors.core.traffic_settings import BalancerSettings, Balancing, Stickiness
from tests.support.house import Doorway, House, Plan, Replica, house
from tests.support.posts import LegacyClient, ModernClient


def four() -> list[Replica]:
    return [Replica(index=index) for index in range(4)]


def hashing(key: str) -> Plan:
    return Plan(balancer=BalancerSettings(kind=Balancing.HASH, key=key))


async def linked(built: House) -> Doorway:
    gateway = built.doorway()
    await gateway.linked(len(built.replicas))
    return gateway


def taken(replicas: Sequence[Replica]) -> list[int]:
    """The replicas that had calls since they were looked at last."""
    used = [replica.key.index for replica in replicas if replica.exchanges]
    for replica in replicas:
        replica.exchanges.clear()
    return used


async def test_calls_with_one_header_meet_in_one_replica_through_every_ingress_and_others_spread() -> None:
    replicas, met = four(), set()
    async with house(*replicas, plan=hashing("header:X-Tenant")) as built:
        here, there = await linked(built), await linked(built)
        for tenant in range(20):
            for gateway in (here, there, here):
                await ModernClient(gateway, headers=[("x-tenant", f"t{tenant}")]).call("git__echo")
            (replica,) = taken(replicas)
            met.add(replica)

    assert len(met) > 1


async def test_calls_with_one_argument_meet_in_one_replica_and_others_spread() -> None:
    replicas, met = four(), set()
    async with house(*replicas, plan=hashing("argument:repo")) as built:
        client = ModernClient(await linked(built))
        for repo in range(20):
            for more in range(3):
                await client.call("git__echo", {"repo": repo, "more": more})
            (replica,) = taken(replicas)
            met.add(replica)

    assert len(met) > 1


async def test_the_calls_of_a_soft_sticky_session_move_when_its_replica_is_gone_and_nobody_is_told() -> None:
    replicas = four()
    async with house(*replicas, plan=Plan(stickiness=Stickiness.SOFT)) as built:
        gateway = await linked(built)
        client = LegacyClient(gateway)
        await client.initialize()
        before = [await client.call("git__echo") for _ in range(5)]
        (first,) = taken(replicas)
        built.replicas = [replica for replica in replicas if replica.key.index != first]
        built.publish()

        after = [await client.call("git__echo") for _ in range(5)]
        moved = taken(replicas)

    assert all("result" in answered.json for answered in before + after)
    assert len(moved) == 1
    assert moved != [first]
