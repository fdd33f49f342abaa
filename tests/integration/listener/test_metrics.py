"""`/metrics` of a real service with several workers: what they count is added up, and stays right."""

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis
import requests
from prometheus_client.parser import text_string_to_metric_families

from listener import __version__
from listener.runtime import multiprocess_dir
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.service import RECEIVER, SUPERVISED, Service

TOKEN = "token-of-all-the-tests"


@pytest.fixture
def service(redis_url: str, tmp_path: Path) -> Iterator[Service]:
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN, "TMPDIR": str(tmp_path)}
    with Service(*RECEIVER, **settings) as running:
        running.wait_until_ready()
        yield running


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(service: Service) -> Samples:
    """Every sample, by name and labels, as prometheus-client's own parser reads it."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{service.ops_url}/metrics", timeout=5)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def send(service: Service, number: int) -> None:
    body = json.dumps({"type": "upgradeProgress", "upgradeProgress": {"upgradeId": f"u{number}"}})
    # Each over a connection of its own: whichever worker takes it.
    assert service.post(body, f"/cb/{TOKEN}").status_code == 200


def kept(service: Service) -> float:
    return value(scraped(service), "fota_messages_total", kind="upgrade-started", result="new")


def test_counts_of_all_workers_are_added_up_and_survive_a_killed_worker(service: Service) -> None:
    for number in range(20):
        send(service, number)
    send(service, 0)
    service.post(b"{", f"/cb/{TOKEN}")
    samples = scraped(service)
    assert value(samples, "fota_messages_total", kind="upgrade-started", result="new") == 20
    assert value(samples, "fota_messages_total", kind="upgrade-started", result="duplicate") == 1
    assert value(samples, "fota_messages_total", kind="unknown", result="new") == 0
    assert value(samples, "fota_refusals_total", reason="not-json") == 1
    assert value(samples, "fota_refusals_total", reason="queue-unavailable") == 0
    assert value(samples, "fota_acknowledgement_seconds_count") == 21
    assert value(samples, "fota_commit_messages_sum") == 21
    assert value(samples, "fota_queue_messages", partition="0") == 20
    assert value(samples, "fota_quarantined_messages") == 1
    assert value(samples, "fota_redis_up") == 1
    assert value(samples, "fota_build_info", version=__version__, commit="") == 1

    _, *workers = service.family()
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers, timeout=10)
    wait_until(lambda: len(service.family()) == 3 and service.ready(), service.log)
    assert kept(service) == 20
    send(service, 100)
    assert kept(service) == 21


def test_the_state_of_groups_and_registration_is_told(
    service: Service, redis_client: "redis.Redis"
) -> None:
    for number in range(5):
        send(service, number)
    redis_client.xgroup_create("{fota:0}:messages", "billing", "0")
    redis_client.xreadgroup("billing", "one", {"{fota:0}:messages": ">"}, count=2)
    redis_client.xadd("{fota:0}:dead:billing", {"reason": "handler-failed"})
    seen = {
        "registered_url": "https://fota.example/cb",
        "ours": True,
        "tick": "2026-11-23T08:00:00Z",
        "result": "as-desired",
        "reason": "as-desired",
        "token_age_s": 12.5,
    }
    redis_client.hset("{fota:registrar}:observations", "0242078689-00001/v1", json.dumps(seen))
    samples = scraped(service)
    group = {"group": "billing", "partition": "0"}
    assert value(samples, "fota_group_lag_messages", **group) == 3
    assert value(samples, "fota_group_pending_messages", **group) == 2
    assert value(samples, "fota_dead_messages", **group) == 1
    assert 0 <= value(samples, "fota_group_oldest_seconds", **group) < 60
    slot = {"account": "0242078689-00001", "version": "v1"}
    assert value(samples, "fota_registration_ours", **slot) == 1
    assert value(samples, "fota_registration_token_age_seconds", **slot) == 12.5
    assert value(samples, "fota_login_breaker_open") == 0


def test_without_redis_the_rest_is_told_and_messages_count_as_spooled(tmp_path: Path) -> None:
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}",
        "CALLBACK_TOKEN": TOKEN,
        "TMPDIR": str(tmp_path),
    }
    with Service(*RECEIVER, **settings) as service:
        service.wait_until_ready()
        send(service, 1)
        stamp = "corrupt-20261123T080000000000Z"
        for part in ("spool.db", "spool.db-wal"):
            Path(service.settings["SPOOL_DIR"], f"{part}.{stamp}").touch()
        samples = scraped(service)
        assert value(samples, "fota_redis_up") == 0
        assert value(samples, "fota_spool_messages") == 1
        assert 0 < value(samples, "fota_spool_bytes") < 2**20
        assert value(samples, "fota_spool_limit_bytes") == 2**30
        assert value(samples, "fota_spool_corrupt_journals") == 1, "whatever parts it had"
        assert value(samples, "fota_spooled_messages_total") == 1
        assert not any(name == "fota_queue_messages" for name, _ in samples)


def folders(service: Service) -> list[Path]:
    """The folders of the service's own counts, wherever they lie."""
    parents = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    assert service.process is not None
    pattern = f"fota-metrics-*-{service.process.pid}-*"
    return [folder for parent in parents for folder in parent.glob(pattern)]


@pytest.mark.slow
def test_the_folder_of_the_counts_is_removed_at_the_end_and_after_a_kill(redis_url: str) -> None:
    with Service(*RECEIVER, REDIS_URL=redis_url, CALLBACK_TOKEN=TOKEN) as service:
        service.wait_until_ready()
        [killed] = folders(service)
        service.kill()
        assert killed.exists()
        service.start()
        service.wait_until_ready()
        assert not killed.exists()
        [ended] = folders(service)
        service.signal()
        assert service.wait() == 0
        assert not ended.exists()


def test_no_room_for_counts_is_no_reason_not_to_serve(redis_url: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.write_text("not a folder")
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN}
    monkey = {"PROMETHEUS_MULTIPROC_DIR": str(nowhere)}
    with Service(*RECEIVER, **settings, **monkey) as service:
        service.wait_until_ready()
        send(service, 1)
        assert "no metrics" in service.log()


@pytest.mark.slow
def test_counts_in_a_folder_of_the_operators_survive_every_end_and_its_files_stay_few(
    redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics" / "of the operator"
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN}
    settings["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    sizes = []
    for life in range(1, 5):
        with Service(*SUPERVISED, **settings, REGISTRAR="off") as service:
            service.wait_until_ready()
            send(service, life)
            wait_until(lambda number=life: kept(service) == number, service.log)  # type: ignore[misc]
            if life % 2:
                service.kill()
            else:
                service.signal()
                service.wait()
        sizes.append((len(list(folder.iterdir())), disk_bytes(folder)))
    assert max(files for files, _ in sizes) <= 2 * 4 + 3
    assert sizes[3] <= sizes[1]
    assert sizes[3][1] < multiprocess_dir.RESERVED_BYTES


@pytest.mark.slow
def test_short_lived_workers_leave_no_files_and_lose_no_counts(
    redis_url: str, tmp_path: Path
) -> None:
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN}
    settings["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    with Service("gunicorn", "--max-requests", "3", "listener.wsgi:app", **settings) as service:
        service.wait_until_ready()
        sent = 0
        while service.log().count("Booting worker") < 8:
            send(service, sent)
            sent += 1
            assert sent < 20_000
        assert kept(service) == sent
        service.wait_until_ready()
        wait_until(lambda: len(list(tmp_path.glob("*_fota-*.db"))) <= 2 * 3 + 2)
        assert kept(service) == sent


@pytest.mark.slow
def test_message_does_not_wait_for_metrics_of_thousands_of_files(
    redis_url: str, tmp_path: Path
) -> None:
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN, "WEB_CONCURRENCY": "1"}
    settings["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    with Service(*RECEIVER, **settings) as service:
        service.wait_until_ready()
        send(service, 0)
        (tmp_path / "counter_7.db").write_bytes(b"broken")
        (own,) = (path for path in tmp_path.glob("counter_*.db") if b'"new"' in path.read_bytes())
        content = own.read_bytes()[:8192]
        for number in range(2000):
            (tmp_path / f"counter_{10_000 + number}.db").write_bytes(content)
        with ThreadPoolExecutor() as pool:
            scrape = pool.submit(kept, service)
            slowest = 0.0
            number = 1
            while not scrape.done():
                started = time.monotonic()
                send(service, number)
                slowest = max(slowest, time.monotonic() - started)
                number += 1
            assert scrape.result() >= 2000
        assert number > 3, "messages were answered while the metrics were added up"
        assert slowest < 2


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())
