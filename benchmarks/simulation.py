"""Runs the whole engine in random worlds, many incident-days a minute; see docs/simulation.md.

python benchmarks/simulation.py --seeds 500 --start 0
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from simulation.command import main

if __name__ == "__main__":
    sys.exit(main())
