BEGIN TRANSACTION;
CREATE TABLE cycles (
	site VARCHAR NOT NULL, 
	scheduled_at DATETIME NOT NULL, 
	at DATETIME NOT NULL, 
	run_id VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	mode VARCHAR, 
	pv_w FLOAT, 
	inverter_ac_w FLOAT, 
	grid_export_w FLOAT, 
	battery_charge_w FLOAT, 
	battery_soc_pct FLOAT, 
	car_w FLOAT, 
	charger_mode INTEGER, 
	surplus_w FLOAT, 
	setpoint_a INTEGER, 
	setpoint_phases INTEGER, 
	exported_kwh FLOAT, 
	imported_kwh FLOAT, 
	session_kwh FLOAT, 
	memory JSON NOT NULL, 
	PRIMARY KEY (site, scheduled_at)
);
INSERT INTO "cycles" VALUES('home','2026-06-21 12:00:00.000000','2026-06-21 12:00:02.000000','run 0','pushed','11 A x 3: surplus 7.8 kW','solar',8000.0,NULL,700.0,NULL,NULL,6900.0,NULL,NULL,11,3,NULL,NULL,NULL,'{"setpoint_a": 11, "phases": 3, "pushed_at": "2026-06-21T12:00:00+00:00"}');
INSERT INTO "cycles" VALUES('home','2026-06-21 12:01:00.000000','2026-06-21 12:01:02.000000','run 1','pushed','11 A x 3: surplus 7.8 kW','solar',8001.0,NULL,700.0,NULL,NULL,6900.0,NULL,NULL,11,3,NULL,NULL,NULL,'{"setpoint_a": 11, "phases": 3, "pushed_at": "2026-06-21T12:01:00+00:00"}');
INSERT INTO "cycles" VALUES('home','2026-06-21 12:02:00.000000','2026-06-21 12:02:02.000000','run 2','pushed','11 A x 3: surplus 7.8 kW','solar',8002.0,NULL,700.0,NULL,NULL,6900.0,NULL,NULL,11,3,NULL,NULL,NULL,'{"setpoint_a": 11, "phases": 3, "pushed_at": "2026-06-21T12:02:00+00:00"}');
CREATE INDEX ix_cycles_at ON cycles (at);
COMMIT;
