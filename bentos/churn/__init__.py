"""Service ``churn``."""
