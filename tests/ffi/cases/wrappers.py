"""`pyodide.ffi.wrappers`: timers and event listeners that keep their callbacks alive as long as they are needed, and no longer."""

import asyncio

from pyodide.ffi.wrappers import add_event_listener, clear_interval, clear_timeout, remove_event_listener, set_interval, set_timeout
from suite import js, same


async def timeouts_run_once():
    seen = []
    set_timeout(lambda: seen.append(1), 1)
    set_timeout(lambda: seen.append(2), 2)
    await asyncio.sleep(0.02)
    same(seen, [1, 2])


async def timeouts_are_cleared():
    seen = []
    timeout = set_timeout(lambda: seen.append(1), 5)
    clear_timeout(timeout)
    clear_timeout(timeout)
    await asyncio.sleep(0.02)
    same(seen, [])


async def intervals_run_until_they_are_cleared():
    seen = []
    interval = set_interval(lambda: seen.append(1), 1)
    while len(seen) < 3:
        await asyncio.sleep(0.001)
    clear_interval(interval)
    clear_interval(interval)
    number = len(seen)
    await asyncio.sleep(0.02)
    same(len(seen), number)


async def an_interval_can_clear_itself():
    seen = []

    def tick():
        seen.append(1)
        if len(seen) == 2:
            clear_interval(interval)

    interval = set_interval(tick, 1)
    await asyncio.sleep(0.05)
    same(seen, [1, 1])


def event_listeners():
    seen, target = [], js("new EventTarget()")

    def listen(event):
        seen.append(event.type)

    fire = js("(t, name) => t.dispatchEvent(new Event(name))")
    add_event_listener(target, "a", listen)
    add_event_listener(target, "b", listen)
    for name in "abc":
        fire(target, name)
    same(seen, ["a", "b"])
    remove_event_listener(target, "a", listen)
    for name in "ab":
        fire(target, name)
    same(seen, ["a", "b", "b"])
    remove_event_listener(target, "b", listen)


def event_listeners_of_two_targets():
    seen, one, two = [], js("new EventTarget()"), js("new EventTarget()")

    def listen(event):
        seen.append(event.target.js_id == one.js_id)

    for target in (one, two):
        add_event_listener(target, "a", listen)
    remove_event_listener(two, "a", listen)
    for target in (one, two):
        js("(t) => t.dispatchEvent(new Event('a'))")(target)
    same(seen, [True])
    remove_event_listener(one, "a", listen)
