"""`schema`: prints the JSON Schemas of the messages, for consumers in other languages."""

from pathlib import Path

import click

from listener.messages import json_schemas


@click.command(
    epilog="Examples: python -m listener schema upgrade-finished; "
    "python -m listener schema --to schemas"
)
@click.argument("name", metavar="[KIND]", type=click.Choice(json_schemas.NAMES), required=False)
@click.option("--list", "listed", is_flag=True, help="Only the names of what there is.")
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each to a file KIND.schema.json there instead; the folder is made if need be.",
)
def schema(*, name: str | None, listed: bool, folder: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of a kind's data, or of the whole `entry`.

    Without KIND one JSON object with all of them, by name. A schema accepts exactly what the receiver
    accepts as that kind. Needs neither settings nor Redis.
    """
    names = (name,) if name else json_schemas.NAMES
    if listed:
        click.echo("\n".join(names))
    elif folder:
        _write(folder, names)
    elif name:
        click.echo(json_schemas.as_text(json_schemas.schema_of(name)), nl=False)
    else:
        schemas = {kind: json_schemas.schema_of(kind) for kind in names}
        click.echo(json_schemas.as_text(schemas), nl=False)


def _write(folder: Path, names: tuple[str, ...]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / f"{name}.schema.json"
            path.write_text(json_schemas.as_text(json_schemas.schema_of(name)), encoding="utf-8")
            click.echo(path)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from None
