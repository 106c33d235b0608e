"""The guards count with the functions that print the table of the structure."""

import sys
from pathlib import Path

# At the end: benchmarks/ has modules with the names of packages of tests (crash, simulation).
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
