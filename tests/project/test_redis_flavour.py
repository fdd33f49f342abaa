"""Which tests run on every Redis server: each module that talks to one is marked, or says here why one server is enough."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
RINGS = ("integration", "system")
TALKS_TO_REDIS = re.compile(r"redis_url|redis_client|redis_server|testbed\.redis|import redis\b")
MARKED = re.compile(r"^pytestmark = .*pytest\.mark\.redis_flavour\b", re.MULTILINE)

OURS = "what is tested is our own process; Redis only takes messages, by the script that test_queue.py tests"
READS = "what is tested is how messages are shown; the commands are those of test_cli.py and test_status_page.py"
REGISTRAR = "what is tested is the provider's side; the scripts are those of test_coordination.py and test_replicas.py"
PACKAGE = (
    "what is tested is the installation; what it does on each server is tested in the checkout"
)
# Paths below tests/, with the reason why the server's version does not matter there.
ONE_SERVER = {
    "integration/consumer/test_async_handlers.py": "the event loop is tested, beside the commands of others",
    "integration/consumer/test_testing_aid.py": "Redis is what a run in memory is compared with",
    "integration/consumer/test_faults.py": "its log, observer and threads fail, not Redis",
    "integration/consumer/test_large_answers.py": "a proxy cuts the connection, at our own limits",
    "integration/examples/test_fleet.py": "what is tested is the example's database",
    "integration/listener/test_base_install.py": "what is tested is what is imported",
    "integration/listener/test_endpoint.py": OURS,
    "integration/listener/test_fips_hashes.py": OURS,
    "integration/listener/test_metric_processes.py": OURS,
    "integration/listener/test_metrics.py": OURS,
    "integration/listener/test_name_servers.py": "no server is reached",
    "integration/listener/test_operating_port.py": READS,
    "integration/listener/test_ops_hosts.py": READS,
    "integration/listener/test_security_headers.py": READS,
    "integration/listener/test_spool_files.py": "what is tested is the journal on disk",
    "integration/registrar/test_answers.py": REGISTRAR,
    "integration/registrar/test_callback_commands.py": REGISTRAR,
    "integration/registrar/test_deregistration.py": REGISTRAR,
    "integration/registrar/test_reconciler.py": REGISTRAR,
    "integration/testbed/test_ports.py": "what is tested is the choice of ports",
    "integration/testbed/test_redis_discovery.py": "what is tested is the choice of a server",
    "integration/testbed/test_redis_unpacking.py": "each test runs the server that it unpacks",
    "system/consumer/test_program.py": "what is tested is the program's end; the scripts are those of test_group.py",
    "system/consumer/test_runner.py": "what is tested is how processes are kept running",
    "system/demo/test_demo.py": "the demonstration takes the server that it finds",
    "system/deploy/test_consumer.py": "what is tested is how the platforms start a consumer",
    "system/deploy/test_image.py": OURS,
    "system/deploy/test_proxies.py": OURS,
    "system/hostile/test_bodies.py": OURS,
    "system/hostile/test_openapi_fuzzing.py": OURS,
    "system/hostile/test_requests.py": OURS,
    "system/hostile/test_wasteful_bodies.py": OURS,
    "system/package/test_consumer_package.py": PACKAGE,
    "system/package/test_consumer_runner.py": "what is tested is how processes are kept running",
    "system/package/test_lowest_versions.py": PACKAGE,
    "system/package/test_service_package.py": PACKAGE,
    "system/receiver/test_accepting.py": OURS,
    "system/receiver/test_chaos.py": "the outages themselves are those of test_durable_queue.py",
    "system/receiver/test_gunicorn_start.py": OURS,
    "system/receiver/test_instrumentation.py": OURS,
    "system/receiver/test_large_messages.py": READS,
    "system/receiver/test_secret_files.py": OURS,
    "system/receiver/test_poor_environment.py": OURS,
    "system/receiver/test_secrets.py": "what is tested is what we write",
    "system/receiver/test_shutdown.py": OURS,
    "system/receiver/test_spool_retry.py": "the refusals themselves are those of test_redis_refusals.py",
    "system/receiver/test_stalls.py": OURS,
    "system/receiver/test_unread_log.py": OURS,
    "system/receiver/test_unread_output.py": READS,
    "system/registrar/test_addresses.py": REGISTRAR,
    "system/registrar/test_forward_proxy.py": REGISTRAR,
    "system/registrar/test_logins.py": REGISTRAR,
    "system/registrar/test_machine.py": REGISTRAR,
    "system/registrar/test_memory.py": REGISTRAR,
    "system/registrar/test_replicas.py": REGISTRAR,
    "system/registrar/test_rolling.py": REGISTRAR,
    "system/registrar/test_run.py": REGISTRAR,
    "system/registrar/test_stacks.py": REGISTRAR,
    "system/status_page/test_every_page.py": READS,
    "system/status_page/test_page.py": READS,
}


def modules() -> dict[str, str]:
    """The source of each test module of the rings that have a Redis, by its path below tests/."""
    return {
        str(path.relative_to(TESTS)): path.read_text()
        for ring in RINGS
        for path in (TESTS / ring).rglob("test_*.py")
    }


def test_every_module_that_talks_to_redis_runs_on_every_server_or_says_why_not() -> None:
    undecided = [
        path
        for path, source in modules().items()
        if TALKS_TO_REDIS.search(source) and not MARKED.search(source) and path not in ONE_SERVER
    ]
    assert undecided == []


def test_reasons_stand_only_for_modules_that_are_there_and_not_marked() -> None:
    sources = modules()
    needless = [path for path in ONE_SERVER if path not in sources or MARKED.search(sources[path])]
    assert needless == []
