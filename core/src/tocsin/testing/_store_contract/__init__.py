"""What every store promises, as tests on the port alone."""
