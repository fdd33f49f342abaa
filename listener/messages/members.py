"""How a kind of message and its known members are declared, and how they are read from JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, Literal

Basis = Literal["documented", "likely"]
Stage = Literal["scheduled", "started", "finished"]

Class = type[Any]

_MEMBER = "member"
_ELEMENTS = "elements"


@dataclass(frozen=True)
class Member:
    """A member of an object in a message.

    Attributes:
        name: the provider's name.
        description: for the JSON Schemas.
        basis: what the name rests on: the provider's documentation, or REST replies and other messages.
        items: the class of the objects in it, where it is a list; None: a leaf, which may be of any type.
        in_line: the word before it where a message is shown as one line of text, or the noun that a
            list's length counts; empty: it stands alone; None: the line leaves it out.
    """

    name: str
    description: str
    basis: Basis
    items: Class | None = None
    in_line: str | None = None


def documented(
    name: str, description: str, *, items: Class | None = None, in_line: str | None = None
) -> Mapping[str, Any]:
    """Metadata of an attribute that holds a member which the provider's documentation names."""
    return {_MEMBER: Member(name, description, "documented", items, in_line)}


def likely(
    name: str, description: str, *, items: Class | None = None, in_line: str | None = None
) -> Mapping[str, Any]:
    """Metadata of an attribute whose member is only likely: REST replies or other messages have it."""
    return {_MEMBER: Member(name, description, "likely", items, in_line)}


def elements(class_: Class) -> Mapping[str, Any]:
    """Metadata of an attribute that holds the objects of a container which is a list."""
    return {_ELEMENTS: class_}


def members_of(class_: Class) -> Mapping[str, Member]:
    """The members that a class declares, by attribute."""
    return {it.name: it.metadata[_MEMBER] for it in fields(class_) if _MEMBER in it.metadata}


@cache
def _layout(class_: Class) -> tuple[Sequence[tuple[str, str, Class | None]], frozenset[str]]:
    """What reading an object needs of `members_of`: attribute, name and items of each, and all names."""
    members = members_of(class_)
    rows = [(attribute, member.name, member.items) for attribute, member in members.items()]
    return rows, frozenset(name for _, name, _ in rows)


def read_object(class_: Class, value: Any) -> dict[str, Any]:
    """A class's attributes from an object of JSON; members that have no attribute are in `extra`.

    Never raises: a member that is missing is None, and what is no object has no members.
    """
    # mypy takes no type[Any] for hashable.
    rows, names = _layout(class_)  # type: ignore[arg-type]
    container = value if isinstance(value, dict) else {}
    attributes: dict[str, Any] = {}
    for attribute, name, items in rows:
        member = container.get(name)
        attributes[attribute] = _read_list(items, member) if items else member
    attributes["extra"] = {name: it for name, it in container.items() if name not in names}
    return attributes


def _read_list(class_: Class, value: Any) -> tuple[Any, ...]:
    items = value if isinstance(value, list) else ()
    return tuple(class_(**read_object(class_, item)) for item in items if isinstance(item, dict))


@dataclass(frozen=True)
class Kind:
    """A kind of message.

    Attributes:
        name: our name, which entries have as `kind`.
        type: the provider's `type`, and the name of the member that holds the kind's container.
        meaning: a sentence for the JSON Schemas.
        message: the class that a consumer's handler gets. Its attributes declare the known members.
        stage: which stage of an upgrade such a message reports; None: it is about no upgrade.
    """

    name: str
    type: str
    meaning: str
    message: Class
    stage: Stage | None = None

    @cached_property
    def items(self) -> Class | None:
        """The class of the objects in the container, if it is a list; None if it is an object."""
        attribute = self._elements_attribute
        return attribute.metadata[_ELEMENTS] if attribute else None

    @property
    def elements_attribute(self) -> str | None:
        """The attribute that holds the container, if it is a list."""
        return self._elements_attribute.name if self._elements_attribute else None

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The known members of the container, or of each object in it."""
        return tuple(members_of(self.items or self.message).values())

    def read(self, container: Any) -> dict[str, Any]:
        """The attributes of a message that its container holds, `extra` among them. Never raises."""
        attribute = self._elements_attribute
        if attribute is None:
            return read_object(self.message, container)
        return {attribute.name: _read_list(attribute.metadata[_ELEMENTS], container), "extra": {}}

    @cached_property
    def _elements_attribute(self) -> Any:
        return next((it for it in fields(self.message) if _ELEMENTS in it.metadata), None)
