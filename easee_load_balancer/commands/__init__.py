"""What `easee-balancer` does: set up, check, run, demonstrate."""
