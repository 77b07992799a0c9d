"""A simulated house: plant, Modbus inverter and Easee cloud, for the demo, tests and benchmarks."""
