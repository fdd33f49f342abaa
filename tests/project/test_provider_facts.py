"""The code cites the provider's facts by anchors that docs/thingspace.md has."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CITATION = re.compile(r"docs/thingspace\.md#([a-z0-9-]+)")


def anchors() -> set[str]:
    """The anchors of the document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs/thingspace.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-") for text in headings}


def citations() -> Iterator[tuple[str, str]]:
    for package in ("listener", "registrar", "sandbox"):
        for path in (ROOT / package).rglob("*.py"):
            for anchor in CITATION.findall(path.read_text()):
                yield str(path.relative_to(ROOT)), anchor


def test_every_cited_fact_is_in_the_document() -> None:
    assert [cited for cited in citations() if cited[1] not in anchors()] == []


def test_the_sandbox_and_the_listener_cite_their_facts() -> None:
    assert {"sandbox/provider_facts.py", "listener/settings/provider_facts.py"} <= {
        p for p, _ in citations()
    }
