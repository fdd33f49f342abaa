"""What an answer of Redis, or of what stands before it, is about: as redis-py reads it."""

import pytest
import redis
from redis._parsers import _RESP2Parser

from listener.queue.keys import Partition
from listener.queue.redis_errors import Blame, blame, remedy, split_reply
from listener.queue.required_commands import describe_refusal

IN_SCRIPT_62 = "ERR Error running script (call to f_ab): @user_script:29: @user_script: 29: -{}"
IN_SCRIPT_70 = "{} script: 8a3b, on @user_script:29."

SERVER = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOAUTH Authentication required.",
    "NOPERM this user has no permissions to run the 'xadd' command",
    "NOPERM User app has no permissions to run the 'xadd' command",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR max number of clients reached",
    "ERR unknown command 'EVALSHA', with args beginning with: ",
    "ERR unknown command `EVALSHA`, with args beginning with: ",
    "ERR Unknown Redis command called from script script: 8a3b, on @user_script:5.",
    "ERR The user executing the script can't run this command or subcommand script: 8a3b, on @user_script:5.",
    "ERR The stream has exhausted the last possible ID, unable to add more items",
    "ERR unsupported command 'evalsha'",
    "-no upstream host",
    "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.",
    "ERR max concurrent connections exceeded. Limit: 100",
    "ERR max commands per second exceeded.",
    "ERR max single record size exceeded. Limit: 104857600 bytes",
    "ERR DB capacity quota exceeded",
]
WRITE = [
    "ERR max request size exceeded. Limit: 1048576 bytes, Actual: 1500345 bytes",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR Elements are too large to be stored",
    "ERR Protocol error: invalid bulk length",
    "ERR something that nobody has heard of",
]
UNKNOWN = [
    "upstream failure",
    "upstream protocol error",
    "ERR Connection timed out",
    "ERR Connection reset by peer",
    "ERR Host is down",
]


def error(text: str) -> Exception:
    """What redis-py makes of an answer."""
    made: Exception = _RESP2Parser.parse_error(text)  # type: ignore[no-untyped-call]
    return made


@pytest.mark.parametrize("text", SERVER)
def test_an_answer_about_the_server_is_an_outage(text: str) -> None:
    assert blame(error(text)) is Blame.SERVER


@pytest.mark.parametrize("form", [IN_SCRIPT_62, IN_SCRIPT_70])
@pytest.mark.parametrize(
    "text",
    [
        text
        for text in SERVER
        if text.split()[0] in ("OOM", "NOPERM", "READONLY", "MISCONF", "NOREPLICAS")
    ],
)
def test_it_is_recognised_also_from_a_script(form: str, text: str) -> None:
    assert blame(error(form.format(text))) is Blame.SERVER


def in_pipeline(text: str, *words: str) -> Exception:
    """The same of a pipeline, where QUEUE_DURABILITY has each write confirmed."""
    made = error(text)
    with redis.Redis().pipeline(transaction=False) as pipeline:
        pipeline.annotate_exception(made, 1, words)  # type: ignore[no-untyped-call]
    return made


# Namespaces, each of which looks like part of an answer.
NAMESPACES = [
    "fota",
    "quota-eu",
    "upstream",
    "unknown command",
    "a) b (c",
    "x: -OOM y",
    "two\nlines",
    "n" * 200,
]


def script_call(namespace: str) -> tuple[str, ...]:
    return ("EVALSHA", "8a3b" * 10, "3", f"{{{namespace}:0}}:messages")


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_what_is_to_blame_is_the_same_in_a_pipeline_whatever_the_keys_are(namespace: str) -> None:
    for text in SERVER + WRITE + UNKNOWN:
        annotated = in_pipeline(text, *script_call(namespace))
        assert blame(annotated) is blame(error(text)), annotated
        assert remedy("XADD", annotated) == remedy("XADD", error(text)), annotated


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("text", ["NOREPLICAS Not enough good replicas to write.", "DENIED x"])
def test_a_refused_command_of_a_pipeline_is_named_with_what_redis_answered(
    namespace: str, text: str
) -> None:
    annotated = in_pipeline(text, *script_call(namespace))
    assert split_reply(annotated) == ("EVALSHA", text)
    assert describe_refusal("SET", Partition(namespace, 0), annotated) == (
        f"EVALSHA is refused in partition 0: ResponseError: {text}"
    )


@pytest.mark.parametrize("text", WRITE)
def test_any_other_answer_may_be_about_the_write(text: str) -> None:
    assert blame(error(text)) is Blame.WRITE
    assert blame(error(IN_SCRIPT_62.format(text))) is Blame.WRITE


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_answer_for_want_of_one_says_nothing(text: str) -> None:
    assert blame(error(text)) is Blame.UNKNOWN


@pytest.mark.parametrize(
    "failure",
    [
        redis.TimeoutError("Timeout reading from socket"),
        redis.ConnectionError("Connection closed by server."),
        redis.ConnectionError("Error 104 while writing to socket. Connection reset by peer."),
    ],
)
def test_no_answer_says_nothing(failure: Exception) -> None:
    assert blame(failure) is Blame.UNKNOWN


def test_what_cannot_be_encoded_is_about_the_write() -> None:
    with pytest.raises(UnicodeError) as raised:
        "\ud800".encode()
    assert blame(raised.value) is Blame.WRITE


@pytest.mark.parametrize(
    ("command", "text", "advice"),
    [
        ("EVALSHA", "NOPERM this user has no permissions to run the 'evalsha' command", "+evalsha"),
        ("CLIENT SETNAME", "NOPERM User u has no permissions to run the 'client|setname' command", "+client|setname"),
        ("XADD", "NOPERM this user has no permissions to access one of the keys used as arguments", "~{NAMESPACE:*"),
        ("XADD", "NOPERM No permissions to access a key", "~{NAMESPACE:*"),
        ("XADD", "ERR unknown command 'XADD', with args beginning with: ", "renamed"),
        ("SET", "OOM command not allowed when used memory > 'maxmemory'.", ""),
    ],
)  # fmt: skip
def test_the_remedy_names_what_to_grant(command: str, text: str, advice: str) -> None:
    found = remedy(command, error(text))
    assert advice in found
    assert bool(advice) == bool(found)
