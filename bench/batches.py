"""The batch endpoint of a daemon, against the same rows written by raw apsw in the same batches."""

import msgspec

from bench.commands import CLIENTS, EACH, from_clients, raw
from bench.figures import Figure, Scale, in_turns
from bench.over_socket import load_of, loaded, profiled_under
from bench.rig import KeptLog, rig
from bench.served import daemon

SENDERS = 2  # at once: while one reads its answers the daemon has the other's batch
BATCH = 250  # commands of one request: what one commit takes at most


async def batches(scale: Scale) -> list[Figure]:
    """Events a second: each of these commands is one."""
    async with rig(KeptLog) as (kernel, log):
        assert isinstance(log, KeptLog), "BUG: the rig was asked for a log that keeps"
        await from_clients(kernel, CLIENTS, scale.of(EACH, quick=4))
        kept = list(log.kept)
    async with daemon() as served:
        load = load_of(served, each=scale.of(6, quick=1))
        batched = msgspec.structs.replace(load, clients=SENDERS, batch=BATCH)

        async def ours() -> float:
            return BATCH * (await loaded(batched)).per_s

        value, yardstick = await in_turns(ours, lambda: raw(kept, batch=BATCH), rounds=scale.rounds)
        profile = await profiled_under(batched, served)
    return [
        Figure(
            name=f"batch endpoint, {BATCH} commands a request",
            unit="events/s",
            value=value,
            yardstick_name=f"raw apsw, the same rows, {BATCH} a transaction",
            yardstick=yardstick,
            goal="ratio >= 0.4",
            profile=profile,
        )
    ]
