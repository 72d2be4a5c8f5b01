"""Writes helm/tahuka/README.md: its opening from readme-opening.md, and a table of every value from the comments of
values.yaml. A line `# == Title` begins a section; lines `# -- text` before a key tell of it and of all below it."""

import re
import sys

import yaml

from places import CHART, HERE

README = CHART / "README.md"


def told():
    """(section, path, text) of every key that has a text, in order."""
    section, text, path, found = "", [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if heading := re.fullmatch(r"# == (.+)", line):
            section = heading[1]
        elif comment := re.fullmatch(r" *# -- (.+)", line):
            text.append(comment[1])
        elif key := re.match(r"( *)([A-Za-z][\w.]*):", line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            if text:
                found.append((section, ".".join(path), " ".join(text)))
            text = []
    return found


def leaves(values, at=""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}"


def at(values, path):
    for key in path.split("."):
        values = values[key]
    return values


def default(value):
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip().removesuffix("\n...")
    return f"`{text}`" if len(text) <= 90 else "see values.yaml"


def made():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    lines, last = [(HERE / "readme-opening.md").read_text().rstrip(), ""], None
    paths = [path for _, path, _ in told()]
    for section, path, text in told():
        if section != last:
            lines += [f"## {section}", "", "| value | default | meaning |", "| --- | --- | --- |"]
            last = section
        # A group's keys that have no text of their own are told with it.
        below = any(other.startswith(f"{path}.") for other in paths)
        shown = default(at(values, path)) if not below else ""
        lines.append(f"| `{path}` | {shown} | {text.replace('|', chr(92) + '|')} |")
        following = paths.index(path) + 1
        if following == len(paths) or section_of(paths[following]) != section:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def section_of(path):
    return next(section for section, other, _ in told() if other == path)


def untold():
    """Values that no text tells of, neither their own nor that of a group they are in."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    paths = {path for _, path, _ in told()}
    return [leaf for leaf in leaves(values) if not any(leaf == p or leaf.startswith(f"{p}.") for p in paths)]


def current():
    return README.exists() and README.read_text() == made()


if __name__ == "__main__":
    if missing := untold():
        sys.exit(f"readme: nothing tells of {', '.join(missing)}")
    README.write_text(made())
