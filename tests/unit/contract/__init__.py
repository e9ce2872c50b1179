"""Tests of fedchurn.contract."""
