"""What the Python clients have in common: a call each second until nobody wants more, each told in a line of JSON."""

import asyncio
import json
import sys

EVERY = 1.0


def listen_for_the_end() -> asyncio.Event:
    """Set at the end of standard input."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, lambda: (sys.stdin.buffer.read(), loop.call_soon_threadsafe(ended.set)))
    return ended


async def call_on(call) -> None:
    """Awaits `call()` each second; it gives the text of a tool's result."""
    ended = listen_for_the_end()
    while not ended.is_set():
        try:
            told = {"ok": True, "text": await call()}
        except Exception as error:  # Whatever went wrong is what the test wants to know.
            told = {"ok": False, "error": repr(error)}
        print(json.dumps(told), flush=True)
        try:
            await asyncio.wait_for(ended.wait(), EVERY)
        except TimeoutError:
            pass
