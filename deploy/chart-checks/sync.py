"""A chart cannot read outside its own directory, so rules and dashboards of deploy/observability are copied into it."""

import shutil

from places import CHART, OBSERVABILITY


def pairs():
    yield OBSERVABILITY / "alerts.yaml", CHART / "files" / "alerts.yaml"
    names = {p.name for d in (OBSERVABILITY, CHART / "files") for p in (d / "dashboards").glob("*.json")}
    for name in sorted(names):
        yield OBSERVABILITY / "dashboards" / name, CHART / "files" / "dashboards" / name


def text(path):
    return path.read_bytes() if path.exists() else None


def different():
    return [str(copy.relative_to(CHART.parent.parent)) for source, copy in pairs() if text(source) != text(copy)]


def main():
    for source, copy in pairs():
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.exists():
            shutil.copyfile(source, copy)
        elif copy.exists():
            copy.unlink()


if __name__ == "__main__":
    main()
