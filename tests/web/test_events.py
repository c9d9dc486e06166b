"""Server-sent events: what every open page hears."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from dextr_vos.web.events import Events


def parsed(line: str) -> tuple[str, object]:
    kind, data = line.split("\n")[:2]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_page_hears_the_version_at_once_and_then_what_happens():
    events = Events()

    async def listen() -> list[tuple[str, object]]:
        stream = events.stream(lambda: 17)
        heard = [parsed(await anext(stream))]
        for index in (3, 4):
            events.frame(index)
        events.job({"phase": "training", "done": 1})
        events.job({"phase": "training", "done": 2})
        events.changed(18)
        events.changed(19)
        heard += [parsed(await anext(stream)) for _ in range(4)]
        for phase, done in (("training", 3), ("training", 4), ("segmenting", 0), ("segmenting", 1)):
            events.job({"phase": phase, "done": done})
        events.job(None)
        heard += [parsed(await anext(stream)) for _ in range(3)]
        events.close()
        heard += [parsed(line) async for line in stream]
        return heard

    with ThreadPoolExecutor(1) as pool:  # the browser tests leave an event loop running in this thread
        first, *heard = pool.submit(asyncio.run, listen()).result()
    assert first == ("state", {"session": events.session, "version": 17})
    assert sorted(heard[:4], key=repr) == [
        ("frame", {"index": 3}),
        ("frame", {"index": 4}),
        ("job", {"phase": "training", "done": 2}),
        ("state", {"session": events.session, "version": 19}),
    ]
    assert heard[4:] == [
        ("job", {"phase": "training", "done": 4}),
        ("job", {"phase": "segmenting", "done": 1}),
        ("job", None),
    ], "the end of each phase, however soon the next begins"


def test_a_change_while_a_page_connects_is_heard():
    events = Events()

    def version() -> int:
        events.changed(18)  # by another thread, just after this one has looked
        return 17

    async def listen() -> tuple[str, object]:
        stream = events.stream(version)
        heard = parsed(await anext(stream))
        await stream.aclose()
        return heard

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(asyncio.run, listen()).result(600)
    assert heard == ("state", {"session": events.session, "version": 18})
