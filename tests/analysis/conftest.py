"""Puts the made-up runs beside these tests within reach of `import`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
