"""The papers' methods: arrays in, arrays out. Each function cites its equation or section."""
