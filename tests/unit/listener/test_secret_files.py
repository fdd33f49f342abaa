"""NAME_FILE: a secret that a file holds, and every way in which the file can be wrong."""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from listener.errors import SettingsError
from listener.settings.env import EnvReader
from listener.settings.queue_settings import QueueSettings
from listener.settings.secret_files import MAX_BYTES
from listener.settings.settings import Settings
from registrar.model import Credentials
from registrar.settings import CREDENTIAL_NAMES, RegistrarSettings

TOKEN = "token-that-nobody-may-see"
REGISTRAR = {
    "PUBLIC_URL": "https://fota.example.com/callback",
    "THINGSPACE_ACCOUNTS": "0242078689-00001",
}
VALUES = {
    "REDIS_URL": "redis://:redis-password@queue:6379/1",
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_TOKEN_PREVIOUS": "token-of-the-last-month",
    "CALLBACK_PASSWORD": "callback password",
    "CALLBACK_PASSWORD_PREVIOUS": "callback password before",
    **{name: f"value of {name}" for name in CREDENTIAL_NAMES},
}


def in_file(folder: Path, name: str, content: bytes | str) -> dict[str, str]:
    path = folder / name.lower()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {f"{name}_FILE": str(path)}


def problems(environ: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    with pytest.raises(SettingsError) as caught:
        RegistrarSettings.from_env({**REGISTRAR, **VALUES, **environ, "CALLBACK_USERNAME": "u"})
    return caught.value.problems


def secrets_of(settings: Any) -> dict[str, str]:
    """The texts of all fields that are secrets, by their names, with those of the fields' own fields."""
    found: dict[str, str] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value) and hasattr(value, "reveal"):
            found[field.name] = value.reveal()
        elif is_dataclass(value):
            found |= {f"{field.name}.{k}": v for k, v in secrets_of(value).items()}
    return found


def test_every_secret_setting_can_come_from_a_file(tmp_path: Path) -> None:
    login = {"CALLBACK_USERNAME": "u"}
    files = {
        k: v for name, text in VALUES.items() for k, v in in_file(tmp_path, name, text).items()
    }
    from_files = RegistrarSettings.from_env({**REGISTRAR, **login, **files})
    assert from_files == RegistrarSettings.from_env({**REGISTRAR, **login, **VALUES})
    # No field is left over that is a secret and has no file.
    assert sorted(secrets_of(from_files).values()) == sorted(VALUES.values())


def test_every_field_that_is_a_secret_is_read_as_one() -> None:
    reader = EnvReader({})
    RegistrarSettings.read(reader)
    of_type = [
        f
        for kind in (Settings, QueueSettings, Credentials)
        for f in fields(kind)
        if "Secret" in str(f.type)
    ]
    assert reader.secrets == set(VALUES)
    assert len(of_type) == len(reader.secrets)
    # The variables that name the files are documented once, for all of them.
    assert not [name for name in reader.names if name.endswith("_FILE")]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n", "\r"])
def test_line_break_at_the_end_is_no_part_of_the_secret(ending: str, tmp_path: Path) -> None:
    settings = Settings.from_env(in_file(tmp_path, "CALLBACK_TOKEN", TOKEN + ending))
    assert settings.callback_token
    assert settings.callback_token.reveal() == TOKEN


def test_spaces_belong_to_the_secret_as_they_do_in_a_variable(tmp_path: Path) -> None:
    name = {"CALLBACK_USERNAME": "u"}
    settings = Settings.from_env({**name, **in_file(tmp_path, "CALLBACK_PASSWORD", " a b \n")})
    assert settings.callback_password
    assert settings.callback_password.reveal() == " a b "


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \t\r\n", "is empty"),
        (TOKEN.encode() + b"\nmore", "of several lines"),
        (TOKEN.encode() + b"\rmore\n", "of several lines"),
        (TOKEN.encode() + b"\0", "NUL"),
        (b"\0" * 32, "NUL"),
        (b"\xff\xfe" + TOKEN.encode("utf-16-le"), "not UTF-8"),
        (TOKEN.encode() + b"\xe4", "not UTF-8"),
        (b"\xef\xbb\xbf" + TOKEN.encode(), "byte order mark"),
        (TOKEN.encode() * MAX_BYTES, "more than 64 KiB"),
        # What the variable itself would be refused for.
        (TOKEN.encode() + b"/", "part of a URL"),
        (b"aaaaaaaaaaaaaaaa", "can be guessed"),
    ],
)
def test_content_that_is_no_secret_is_refused_and_not_shown(
    content: bytes, says: str, tmp_path: Path
) -> None:
    found = problems({"CALLBACK_TOKEN": "", **in_file(tmp_path, "CALLBACK_TOKEN", content)})
    [(name, texts)] = found.items()
    assert name == "CALLBACK_TOKEN_FILE"
    [text] = texts
    assert says in text
    assert TOKEN not in text


def missing(folder: Path) -> Path:
    return folder / "gone"


def folder_itself(folder: Path) -> Path:
    return folder


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def endless_device(_: Path) -> Path:
    return Path("/dev/zero")


def loop(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file" / "secret"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "No such file"),
        (folder_itself, "names a folder"),
        (pipe, "names a pipe or a device"),
        (endless_device, "names a pipe or a device"),
        (loop, "cannot be read"),
        (below_a_file, "Not a directory"),
    ],
)
def test_file_that_cannot_be_read_is_named_by_its_variable_alone(
    make: Callable[[Path], Path], says: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    [(name, [text])] = problems(
        {"THINGSPACE_PASSWORD": "", "THINGSPACE_PASSWORD_FILE": str(path)}
    ).items()
    assert (name, says in text) == ("THINGSPACE_PASSWORD_FILE", True)
    assert str(path) not in text


def test_secret_in_the_variable_of_the_file_is_not_shown() -> None:
    [(name, [text])] = problems({"CALLBACK_TOKEN": "", "CALLBACK_TOKEN_FILE": TOKEN}).items()
    assert (name, TOKEN in text) == ("CALLBACK_TOKEN_FILE", False)


@pytest.mark.parametrize("name", VALUES)
def test_both_at_once_are_a_problem_that_names_both(name: str, tmp_path: Path) -> None:
    found = problems(in_file(tmp_path, name, VALUES[name]))
    assert found[f"{name}_FILE"] == (f"must not be set together with {name}: set one of both",)
    assert set(found) == {f"{name}_FILE"}


def test_empty_variables_count_as_not_set(tmp_path: Path) -> None:
    token = in_file(tmp_path, "CALLBACK_TOKEN", TOKEN)
    settings = Settings.from_env({"CALLBACK_TOKEN": "", **token, "REDIS_URL_FILE": ""})
    assert settings.callback_token
    assert settings.queue == QueueSettings.from_env({})


def test_links_are_followed_as_kubernetes_makes_them(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "token").write_text(TOKEN)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "token").symlink_to("..data/token")
    assert Settings.from_env({"CALLBACK_TOKEN_FILE": str(tmp_path / "token")}).callback_token


def test_reader_of_the_queue_gets_the_url_from_a_file(tmp_path: Path) -> None:
    file = in_file(tmp_path, "REDIS_URL", VALUES["REDIS_URL"] + "\n")
    assert QueueSettings.from_env(file).url.reveal() == VALUES["REDIS_URL"]


def test_processes_that_start_later_know_the_secrets_and_need_no_file(tmp_path: Path) -> None:
    environ = {"PORT": "8000", "CALLBACK_USERNAME": "u"}
    for name in ("REDIS_URL", "CALLBACK_TOKEN", "CALLBACK_PASSWORD"):
        environ |= in_file(tmp_path, name, VALUES[name])
    settings = Settings.from_env(environ)
    later = settings.without_files(environ)
    assert not [name for name in later if name.endswith("_FILE")]
    assert Settings.from_env(later) == settings
    # What came as a variable stays as it was, and other programs' variables as well.
    plain = {"CALLBACK_TOKEN": TOKEN, "SSL_CERT_FILE": "/etc/ssl/cert.pem"}
    assert Settings.from_env(plain).without_files(plain) == plain
