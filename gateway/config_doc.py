"""Makes gateway/default.toml and docs/configuration.md from the options: `python -m gateway.config_doc` writes both.

A test holds the two files equal to what this makes, so neither can drift from the code.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

from gateway import options
from gateway.config import item_of, section_of
from gateway.options import Config, Section

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 118


def meta_of(field: FieldInfo) -> Meta:
    """What is said about an option in its Annotated."""
    return next((part for part in get_args(field.type) if isinstance(part, Meta)), Meta())


def unit_of(field: FieldInfo) -> str:
    return str((meta_of(field).extra or {}).get("unit", ""))


def range_of(field: FieldInfo) -> str:
    """The values an option may take, in words."""
    meta = meta_of(field)
    kind = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        return "list of " + ", ".join(get_args(get_args(kind)[0]))
    if get_origin(kind) is Literal:
        return ", ".join(choice or "empty" for choice in get_args(kind))
    if kind is bool:
        return "true, false"
    if meta.ge is not None:
        return f"{meta.ge} to {meta.le}" if meta.le is not None else f"{meta.ge} or more"
    if meta.pattern is not None:
        return options.FORMS[meta.pattern]
    return {str: "text", dict: "table of integers"}.get(get_origin(kind) or kind, "list")


def literal(value: Any) -> str:
    """A value in TOML's form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {literal(part)}" for key, part in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(part) for part in value) + "]"
    return str(value)


# --- the annotated file ----------------------------------------------------------------------------------------------


def default_toml() -> str:
    """The built-in configuration as a file: reading it gives exactly Config()."""
    lines = [
        "# The built-in configuration of Backstay, written out. Copy what you change; leave out the rest.",
        "# Each line says meaning, unit and range. The environment may override it: BACKSTAY__SECTION__KEY.",
        "# Secrets are never here: an option names an environment variable or a file.",
    ]
    lines.extend(_section_lines(Config(), ""))
    return "\n".join(lines) + "\n"


def _section_lines(section: Section, where: str) -> Iterator[str]:
    """Plain options first, as TOML wants it, then the tables inside."""
    tables = []
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if section_of(field.type) or item_of(field.type):
            tables.append((field, value))
        else:
            yield from _option_lines(field, value)
    for field, value in tables:
        path = f"{where}.{field.name}" if where else field.name
        if isinstance(value, tuple):
            yield from _list_lines(value, path)
        elif value is not None:
            yield from ("", *_comment(_about(value)))
            if any(not (section_of(f.type) or item_of(f.type)) for f in msgspec.structs.fields(value)):
                yield f"[{path}]"
            yield from _section_lines(value, path)


def _list_lines(entries: tuple[Section, ...], path: str) -> Iterator[str]:
    """The first entry in full; of the others only what differs from an option's default."""
    for at, entry in enumerate(entries):
        yield ""
        if at == 0:
            yield from _comment(_about(entry))
        yield f"[[{path}]]"
        if at == 0:
            yield from _section_lines(entry, path)
            continue
        for field in msgspec.structs.fields(entry):
            value = getattr(entry, field.name)
            if field.required or value != field.default:
                yield f"{field.name} = {literal(value)}"


def _option_lines(field: FieldInfo, value: Any) -> Iterator[str]:
    parts = [
        meta_of(field).description or "",
        f"[{', '.join(part for part in (unit_of(field), range_of(field)) if part)}]",
    ]
    yield from _comment(" ".join(parts))
    yield f"{field.name} = {literal(value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ")


def _about(section: Section | type[Section]) -> str:
    return (section.__doc__ or "").strip()


# --- the reference page ----------------------------------------------------------------------------------------------

HEAD = """# Configuration

One TOML file, read once at start (`--config FILE`); without it the built-in defaults are one paper-trading gateway
on loopback. Later wins: defaults, file, environment, command line. `gateway/default.toml` is the built-in configuration
written out.

- **Environment**: `BACKSTAY__SECTION__KEY=value`, e.g. `BACKSTAY__GATEWAY__WS_PORT=9001` or
  `BACKSTAY__LIMITS__API__HB_MS=500`; one entry of a list by its number: `BACKSTAY__ACCOUNTS__0__CASH=5000`. Strings as
  they are, everything else in TOML's form.
- **Unknown keys are errors**, and all problems are reported at once. `backstay check-config` does only that.
- **Secrets** are never in the file: an option names an environment variable or a file (mode 0600). A secret that
  begins with `hmac:` is the base64 after it, any other is taken as its UTF-8 bytes without the line's end.
- **Decimals** are strings (`"0.01"`), at most nine digits after the point; money at most four. No option is a float.
- A list (`[[instruments]]`, `[[policies]]`, `[[accounts]]`, `[[keys]]`, `[[feeds]]`) in the file replaces the
  built-in list whole.

This page is made from `gateway/options.py` by `python -m gateway.config_doc`; a test holds it equal.
"""


def markdown() -> str:
    """docs/configuration.md."""
    parts = [HEAD]
    for field in msgspec.structs.fields(Config):
        parts.extend(_page_sections(field.type, field.name))
    return "\n".join(parts)


def _page_sections(kind: Any, path: str) -> Iterator[str]:
    item = item_of(kind)
    section = item or section_of(kind)
    if section is None:
        return
    plain = [field for field in msgspec.structs.fields(section) if not (section_of(field.type) or item_of(field.type))]
    if plain:
        yield f"## `{f'[[{path}]]' if item else f'[{path}]'}`\n\n{_about(section)}\n"
        yield "| option | default | unit | range | meaning |\n| --- | --- | --- | --- | --- |"
        yield "\n".join(_row(field) for field in plain) + "\n"
    for field in msgspec.structs.fields(section):
        yield from _page_sections(field.type, f"{path}.{field.name}")


def _row(field: FieldInfo) -> str:
    default = "required" if field.required else f"`{literal(_default(field))}`"
    cells = (f"`{field.name}`", default, unit_of(field), range_of(field), meta_of(field).description or "")
    return "| " + " | ".join(cells) + " |"


def _default(field: FieldInfo) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def main() -> None:
    (ROOT / "gateway/default.toml").write_text(default_toml(), encoding="utf-8")
    (ROOT / "docs/configuration.md").write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
