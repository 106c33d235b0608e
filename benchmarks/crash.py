"""Kill the daemon a thousand times under load, and check after each that nothing is lost and nothing doubled.

    python benchmarks/crash.py --kills 1000 --seed 1

The daemon's world is that of the tests (tests/support), which live through a few kills of the same kind.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.kill_series import main

if __name__ == "__main__":
    sys.exit(main())
