"""The contract that is served, apart because peers must not import what makes the releases."""

CONTRACT = "ecommerce"
