"""The parts that the OpenAPI document is made of: operations, parameters, contents and references. Pure."""

from typing import Any

Part = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
STRING: Part = {"type": "string"}
OBJECT: Part = {"type": "object"}


def operation(servers: list[Part], summary: str, responses: Part, *parameters: Part) -> Part:
    """What a path does."""
    return {
        "summary": summary,
        "servers": servers,
        "parameters": [*parameters],
        "responses": responses,
    }


def path_parameter(name: str, schema: Part, description: str = "") -> Part:
    """A part of a path."""
    parameter: Part = {"name": name, "in": "path", "required": True, "schema": schema}
    return {**parameter, "description": description} if description else parameter


def query_parameter(name: str, description: str, schema: Part = STRING) -> Part:
    """A parameter that may be missing."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def content_of(description: str, media_type: str, schema: Part) -> Part:
    """A response with one media type."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def json_content(description: str, schema: str) -> Part:
    """A response of JSON, by the name of its schema."""
    return content_of(description, JSON, reference(schema))


def reference(name: str) -> Part:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
