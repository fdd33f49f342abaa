"""A callback token that can be guessed is refused, and one that is weaker than a new one is reported."""

import string

import pytest

from listener.diagnostics import check_settings
from listener.diagnostics.finding import Finding
from listener.errors import SettingsError
from listener.settings import parsers
from listener.settings.secret import Secret
from listener.settings.settings import Settings

ENOUGH = "token-of-all-the-tests"
SHORT = ENOUGH[:16]
GUESSABLE = "guessable"
COMMAND = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"


@pytest.mark.parametrize(
    "text",
    [
        "abcdefghijklmnop",
        "aaaaaaaaaaabcdef",
        "0123456789abcdef",
        "._~-._~-._~-ABAB",
        string.ascii_letters + string.digits,
    ],
)
def test_token_of_16_characters_with_6_different_ones_is_accepted(text: str) -> None:
    assert parsers.token(text).reveal() == text


@pytest.mark.parametrize(
    "text",
    [
        "Q",
        "Hunter2",
        "abcdefghijklmno",
        "QQQQQQQQQQQQQQQQ",
        "aaaaaaaaaaaabcde",
        "Zq9-" * 50,
        "0101010101010101010101010101",
    ],
)
def test_guessable_token_is_refused_with_a_sentence_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"CALLBACK_TOKEN": text})
    assert list(caught.value.problems) == ["CALLBACK_TOKEN"]
    (line,) = caught.value.lines()
    assert "can be guessed: it needs 16 characters or more, 6 of them different" in line
    assert COMMAND in line
    assert text not in line


def test_guessable_token_of_characters_that_a_url_has_not_gets_one_sentence() -> None:
    with pytest.raises(ValueError, match="part of a URL"):
        parsers.token("a/b")


@pytest.mark.parametrize("text", ["Q", GUESSABLE, "aaaaaaaaaaaabcde", SHORT, ENOUGH])
def test_previous_token_may_be_weak_because_it_is_being_replaced(text: str) -> None:
    settings = Settings.from_env({"CALLBACK_TOKEN": ENOUGH, "CALLBACK_TOKEN_PREVIOUS": text})
    assert settings.callback_token_previous
    assert settings.callback_token_previous.reveal() == text
    assert settings.callback_paths[1].endswith(f"/{text}")


@pytest.mark.parametrize("text", ["a/b", ".", "..", "a b", "é"])
def test_previous_token_has_to_be_a_path_segment_all_the_same(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"CALLBACK_TOKEN": ENOUGH, "CALLBACK_TOKEN_PREVIOUS": text})
    assert list(caught.value.problems) == ["CALLBACK_TOKEN_PREVIOUS"]


@pytest.mark.parametrize(
    ("text", "weakness"),
    [
        ("abcdefghijklmno", "can be guessed"),
        ("abcde" * 10, "can be guessed"),
        ("abcdefghijklmnop", "is short for a secret"),
        ("abcdefghijklmnopqrstu", "is short for a secret"),
        ("abcdefghijklmnopqrstuv", None),
    ],
)
def test_token_is_weak_below_22_characters(text: str, weakness: str | None) -> None:
    assert parsers.weakness(Secret(text)) == weakness


def test_token_that_the_advised_command_makes_is_not_weak() -> None:
    # 24 bytes in base64.
    made = "Aa0-Bb1_Cc2-Dd3_Ee4-Ff5_Gg6-Hh7_"
    assert parsers.NEW_TOKEN_COMMAND == COMMAND
    assert not Settings.from_env({"CALLBACK_TOKEN": made}).weak_tokens


@pytest.mark.parametrize(
    ("token", "previous", "weak"),
    [
        ("", "", {}),
        (ENOUGH, "", {}),
        (ENOUGH, ENOUGH, {}),
        (SHORT, "", {"CALLBACK_TOKEN": "is short for a secret"}),
        (ENOUGH, GUESSABLE, {"CALLBACK_TOKEN_PREVIOUS": "can be guessed"}),
        (
            SHORT,
            SHORT,
            {
                "CALLBACK_TOKEN": "is short for a secret",
                "CALLBACK_TOKEN_PREVIOUS": "is short for a secret",
            },
        ),
    ],
)
def test_settings_name_each_token_that_is_weak(
    token: str, previous: str, weak: dict[str, str]
) -> None:
    environ = {"CALLBACK_TOKEN": token, "CALLBACK_TOKEN_PREVIOUS": previous}
    assert Settings.from_env({"ALLOW_ANY_SENDER": "true", **environ}).weak_tokens == weak


def test_check_warns_of_weak_tokens_with_what_to_do_and_without_their_values() -> None:
    assert checked(CALLBACK_TOKEN=ENOUGH) == [Finding("ok", "settings", "valid")]
    current, previous = checked(CALLBACK_TOKEN=SHORT, CALLBACK_TOKEN_PREVIOUS=GUESSABLE)
    assert (current.level, current.text) == ("warning", "CALLBACK_TOKEN is short for a secret")
    assert COMMAND in current.advice
    assert (previous.level, previous.text) == ("warning", "CALLBACK_TOKEN_PREVIOUS can be guessed")
    assert previous.advice.startswith("unset it")
    for text in (str(current), str(previous)):
        assert SHORT not in text
        assert GUESSABLE not in text


def checked(**environ: str) -> list[Finding]:
    settings = Settings.from_env(environ, require_sender_proof=False)
    return check_settings.findings(settings, environ)
