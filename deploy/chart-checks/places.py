"""Where things are."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "helm" / "tahuka"
OBSERVABILITY = ROOT / "deploy" / "observability"
HOME = ROOT / "target" / "chart"
BIN = HOME / "bin"
VENV = HOME / "venv" / "bin"
RENDERED = HOME / "rendered"

# The oldest that the chart takes, one between, and the newest.
KUBERNETES = ["1.31", "1.34", "1.37"]
