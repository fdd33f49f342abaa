"""The values that every part works with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.model import same_url

URL = "https://fota.example.com/cb/token"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, URL, True),
        ("https://Fota.Example.com:443/cb", "https://fota.example.com/cb", True),
        ("http://fota.example.com:80", "http://fota.example.com/", True),
        (URL, f"{URL}/", True),
        (f"{URL}//", URL, True),
        ("https://fota.example.com", "https://fota.example.com/", True),
        ("https://fota.example.com./cb", "https://fota.example.com/cb", True),
        ("HTTPS://fota.example.com/cb", "https://fota.example.com/cb", True),
        ("https://fota.example.com/%63b", "https://fota.example.com/cb", True),
        ("https://fota.example.com/a%2fb", "https://fota.example.com/a%2Fb", True),
        ("https://fota.example.com/a%2Fb", "https://fota.example.com/a/b", False),
        ("https://fota.example.com/a%7Eb", "https://fota.example.com/a~b", True),
        ("https://fota.example.com/%C3%BC", "https://fota.example.com/ü", True),
        ("https://fota.example.com/a%20b", "https://fota.example.com/a b", True),
        ("https://fota.example.com/a%25b", "https://fota.example.com/a%b", True),
        ("https://fota.example.com//cb", "https://fota.example.com/cb", False),
        ("https://xn--bcher-kva.example/cb", "https://bücher.example/cb", True),
        ("https://[2001:db8::1]:443/cb", "https://[2001:DB8::1]/cb", True),
        ("https://[2001:db8::1]:8443/cb", "https://[2001:db8::1]/cb", False),
        ("https://fota.example.com/cb", "https://fota.example.com/CB", False),
        ("https://fota.example.com/cb", "http://fota.example.com/cb", False),
        ("https://fota.example.com:8443/cb", "https://fota.example.com/cb", False),
        ("https://fota.example.com/cb?a", "https://fota.example.com/cb", False),
        ("https://[broken", "https://[broken", True),
        ("https://host:port/", "https://host/", False),
    ],
)
def test_urls_are_the_same_however_they_are_written(one: str, other: str, same: bool) -> None:
    assert same_url(one, other) is same


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_url_whatever_it_is_raises(one: str, other: str) -> None:
    assert same_url(f"https://x.example.com/{one}", f"https://x.example.com/{one}")
    same_url(one, other)
