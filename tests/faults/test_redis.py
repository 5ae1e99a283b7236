"""Redis away: calls are counted by each process, and answered; Redis back: they are counted together again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.faults.running import PUBLIC, register, running, token
from tests.instance import eventually
from tests.redis_server import running_redis

DISCOVERY = "/cds-services"
AGREED = 6
WORKERS = 2


def test_calls_go_on_without_redis(tmp_path: Path) -> None:
    """Limits hold together while Redis is there, and for each process while it is away or hangs; nobody gets a 500."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    register(url)
    with running_redis(tmp_path) as redis:
        settings = {"public_url": PUBLIC, "workers": str(WORKERS), "rate_limit_storage": redis.url}
        with running(tmp_path, rate_limit=f"{AGREED}/minute", **settings) as service:

            def ask(count: int) -> list[int]:
                return [service.ask(DISCOVERY, bearer=token(DISCOVERY)).status_code for _ in range(count)]

            assert sorted(ask(AGREED + 4)) == [200] * AGREED + [429] * 4
            assert redis.process is not None
            os.kill(redis.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            hung = ask(4)
            assert time.monotonic() - began < 15
            assert set(hung) <= {200, 429}
            redis.stop()
            away = hung + ask(WORKERS * AGREED + 4)
            assert set(away) == {200, 429}
            assert away.count(200) <= WORKERS * AGREED
            redis.start()
            eventually(lambda: bool(ask(1)) and "client:ehr" in redis.asked("KEYS *"), "Redis is not used again", 60)
