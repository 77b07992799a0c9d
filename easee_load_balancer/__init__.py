"""Charge the car on surplus sun: Huawei SUN2000 inverter, Easee charger, Prefect."""
