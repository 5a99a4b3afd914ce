"""The streets that this project renders for its demo and tests."""
