"""BentoML services; each is a thin shell around ``fedchurn``."""
