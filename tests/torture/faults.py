"""What goes wrong, one function a fault: when it returns, the fault is over and the service has to answer."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

from .model import Broken
from .wires import RawWire
from .world import World

Fault = Callable[[World], Awaitable[None]]


async def kill_server(world: World) -> None:
    """kill -9 at any moment, and a new one at once."""
    await world.server.kill()
    await world.server.start()


async def kill_starting(world: World) -> None:
    """The server is killed, and so is the next one while it starts, or it is told to end."""
    await world.server.kill()
    starting = asyncio.create_task(world.server.try_start())
    await asyncio.sleep(world.dice.uniform(0.05, 1.0))
    world.server.signal(world.dice.choice((signal.SIGKILL, signal.SIGTERM)))
    await starting
    async with asyncio.timeout(12):
        await world.server.gone()
    await world.server.start()


async def stop_server(world: World) -> None:
    """SIGTERM: it drains, ends with status 0, and a new one goes on."""
    status = await world.server.terminate()
    if status != 0:
        raise Broken(f"the server ended with status {status} at SIGTERM")
    await world.server.start()


async def kill_producer(world: World) -> None:
    """kill -9 of a process that writes the file."""
    local = world.dice.choice(world.locals)
    await local.kill()
    await local.start(world.dice.randrange(2**30))


async def kill_all(world: World) -> None:
    """The server and every local producer die at one moment."""
    world.server.signal(signal.SIGKILL)
    for local in world.locals:
        await local.kill()
    await world.server.gone()
    await world.server.start()
    for local in world.locals:
        await local.start(world.dice.randrange(2**30))


async def pause_server(world: World) -> None:
    """SIGSTOP for seconds, and now and then for a minute, longer than any client waits."""
    world.server.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(world.dice.choice((0.5, 2.0, 6.0, 60.0)))
    finally:
        world.server.signal(signal.SIGCONT)


async def pause_producer(world: World) -> None:
    """SIGSTOP of a local producer, maybe while it holds the file's write lock, longer than others wait."""
    local = world.dice.choice(world.locals)
    local.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(world.dice.choice((0.3, 1.0, 7.0)))
    finally:
        local.signal(signal.SIGCONT)


async def cut_connections(world: World) -> None:
    """Connections through the proxy are reset after some more bytes, most of them inside a frame."""
    world.tally["connections cut"] += world.proxy.cut_soon()
    await asyncio.sleep(world.dice.uniform(0.1, 0.5))
    world.tally["connections cut"] += world.proxy.cut_now()


async def half_open(world: World) -> None:
    """Nothing goes through the proxy and nobody is told; then the connections are gone."""
    world.proxy.freeze()
    try:
        await asyncio.sleep(world.dice.uniform(1.0, 4.0))
    finally:
        world.tally["connections cut"] += world.proxy.cut_now()
        world.proxy.thaw()


async def stall_readers(world: World) -> None:
    """Readers stop reading for seconds and keep their connections."""
    stalled = [wire for wire in world.wires.values() if isinstance(wire, RawWire)]
    for wire in stalled:
        wire.may_read.clear()
    try:
        await asyncio.sleep(world.dice.uniform(1.0, 5.0))
    finally:
        for wire in stalled:
            wire.may_read.set()


async def reconnect_storm(world: World) -> None:
    """Many readers come back at one instant, each with a cursor; all are greeted."""
    heads = world.model.position
    epoch = world.model.epochs[-1]

    async def one(number: int) -> bool:
        for _ in range(20):
            answer = await connection(number)
            if not answer.startswith(b"HTTP/1.1 200"):
                return False
            if b"event: hello\n" in answer:
                return True
            # Told to come back later, which is no error and no end.
            world.tally["storm connections told busy"] += b"event: busy\n" in answer
            await asyncio.sleep(world.dice.uniform(0.2, 1.0))
        return False

    async def connection(number: int) -> bytes:
        cursor = f"{epoch}-{max(0, heads - number % 400)}"
        stream, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
        try:
            head = f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {cursor}\r\n\r\n"
            writer.write(head.encode())
            return await stream.readuntil(b"\n\n")
        finally:
            writer.transport.abort()

    async with asyncio.timeout(45):
        greeted = await asyncio.gather(*(one(number) for number in range(world.size.storm)))
    if not all(greeted):
        raise Broken(f"{greeted.count(False)} of {len(greeted)} readers were not greeted")
    world.tally["storm connections"] += len(greeted)


async def two_servers(world: World) -> None:
    """Another server on the same file takes requests and streams, and dies."""
    await world.second.start()
    await world.second.answers(world.client, world.answer_within)
    world.proxy.cut_now()
    await asyncio.sleep(world.dice.uniform(1.5, 3.0))
    if world.dice.random() < 0.5:
        await world.second.kill()
    elif (status := await world.second.terminate()) != 0:
        raise Broken(f"the second server ended with status {status}")


async def long_reader(world: World) -> None:
    """Somebody's read transaction stays open, so that the write-ahead log cannot be begun anew."""
    with closing(sqlite3.connect(world.db, isolation_level=None)) as file:
        file.execute("BEGIN")
        file.execute("SELECT count(*) FROM event").fetchone()
        await asyncio.sleep(world.dice.uniform(2.0, 6.0))
        file.execute("ROLLBACK")


async def step_clock(world: World) -> None:
    """Somebody sets the server's clock, forward or back, by seconds or days."""
    await world.server.set_clock(world.dice.choice((86_400, -86_400, 3600, -3600, -5, 0)))
    await asyncio.sleep(1.5)


NETWORK: tuple[Fault, ...] = (cut_connections, half_open, stall_readers, reconnect_storm)
PROCESSES: tuple[Fault, ...] = (
    kill_server,
    kill_starting,
    stop_server,
    kill_producer,
    kill_all,
    pause_server,
    pause_producer,
    two_servers,
    long_reader,
    step_clock,
)
