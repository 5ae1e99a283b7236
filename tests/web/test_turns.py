"""Big calls take turns in each process, small ones pass."""

from __future__ import annotations

import threading

from cds_service.web.turns import BIG_BYTES, Turns


def test_big_calls_wait_for_each_other_and_small_ones_for_nobody() -> None:
    """While one big call is worked on the next one waits; a small one is answered meanwhile."""
    turns, done = Turns(), threading.Event()

    def call(size: int) -> None:
        with turns.of(size):
            done.set()

    with turns.of(BIG_BYTES):
        second = threading.Thread(target=call, args=(BIG_BYTES,))
        second.start()
        assert not done.wait(0.2)
        with turns.of(BIG_BYTES - 1):
            assert not done.is_set()
    assert done.wait(10)
    second.join()
