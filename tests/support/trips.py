"""A project with two streams and two layers of models."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[1] / "airflow" / "project"
