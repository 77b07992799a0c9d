"""The worker that runs flows in its own process, a module for each of its concerns.

`in_process.py` decides what runs when, `flow_host.py` runs it, `runs.py` knows Prefect's runs and
states, `schedule.py` when cycles are due, `alone.py` that a cycle runs without Prefect.
"""
