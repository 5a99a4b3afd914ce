"""Which files are out of date, which another run has made, and what made each."""
