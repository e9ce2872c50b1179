"""Append-only, hash-chained files: what happened, and whether somebody changed it since."""
