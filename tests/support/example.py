"""The example of user events."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "user_events"
LAYERS = ("raw", "staging", "historical", "snapshots", "dimensional", "crm", "reports")
