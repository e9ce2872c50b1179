"""What runs around the product: the local platform, deployment files, quiet settings."""
