BEGIN TRANSACTION;
CREATE TABLE boosts (
	run_id VARCHAR NOT NULL, 
	site VARCHAR NOT NULL, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	ended_by VARCHAR, 
	state JSON NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "boosts" VALUES('boost run 1','home','2026-06-21 09:00:00.000000','2026-06-21 12:05:00.000000','another boost began','{"current_a": 16, "started_at": "2026-06-21T09:00:00Z", "time_zone": "UTC", "until": "2026-06-21T12:00:00Z", "energy_kwh": null, "car": "awaited", "counted_kwh": 0.0, "bridged_kwh": 0.0, "from_session_kwh": null, "from_lifetime_kwh": null, "seen_at": null}');
INSERT INTO "boosts" VALUES('boost run 2','home','2026-06-21 12:05:00.000000',NULL,NULL,'{"current_a": 10, "started_at": "2026-06-21T12:05:00Z", "time_zone": "UTC", "until": null, "energy_kwh": 10.0, "car": "awaited", "counted_kwh": 2.5, "bridged_kwh": 0.0, "from_session_kwh": null, "from_lifetime_kwh": null, "seen_at": null}');
CREATE TABLE cloud_calls (
	site VARCHAR NOT NULL, 
	since DATETIME NOT NULL, 
	endpoint VARCHAR NOT NULL, 
	calls INTEGER NOT NULL, 
	PRIMARY KEY (site, since, endpoint)
);
INSERT INTO "cloud_calls" VALUES('home','2026-06-21 12:00:00.000000','observations',4);
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
	car_age_s FLOAT, 
	car_phases INTEGER, 
	charger_mode INTEGER, 
	surplus_w FLOAT, 
	setpoint_a INTEGER, 
	setpoint_phases INTEGER, 
	exported_kwh FLOAT, 
	imported_kwh FLOAT, 
	charged_kwh FLOAT, 
	discharged_kwh FLOAT, 
	session_kwh FLOAT, 
	memory JSON NOT NULL, 
	PRIMARY KEY (site, scheduled_at)
);
INSERT INTO "cycles" VALUES('home','2026-06-21 12:00:00.000000','2026-06-21 12:00:02.000000','run 0','pushed','0 A: surplus 7.0 kW = car 0.0 + export 7.0 + battery 0.0','solar',8000.0,7800.0,7000.0,0.0,55.0,0.0,5.0,0,2,7000.0,0,3,7000.25,4000.5,3000.0,2900.0,0.0,'{"setpoint_a": 0, "phases": 3, "pushed_at": "2026-06-21T12:00:02Z", "asked_a": null, "asked_phases": 3, "asked_at": null, "in_doubt": false, "elsewhere_a": null, "before_a": 0, "before_phases": 3, "changed_at": null, "raised_at": null, "started_at": null, "switched_at": null, "inverter_read_at": "2026-06-21T12:00:02Z", "pv_w": 8000.0, "has_battery": true, "battery_first": false, "supporting": false, "weighed_at": "2026-06-21T12:00:02Z", "missed_wh": {}, "missed_step_wh": 0.0, "unknown_since": null, "car_phases": null}');
INSERT INTO "cycles" VALUES('home','2026-06-21 12:00:30.000000','2026-06-21 12:00:32.000000','run 1','pushed','10 A x 3: start; surplus 7.1 kW = car 0.0 + export 7.1 + battery 0.0','solar',8001.0,7801.0,7100.0,0.0,55.0,0.0,5.0,0,2,7100.0,10,3,7000.25,4000.5,3000.0,2900.0,0.05,'{"setpoint_a": 10, "phases": 3, "pushed_at": "2026-06-21T12:00:32Z", "asked_a": null, "asked_phases": 3, "asked_at": null, "in_doubt": false, "elsewhere_a": null, "before_a": 0, "before_phases": 3, "changed_at": "2026-06-21T12:00:32Z", "raised_at": "2026-06-21T12:00:32Z", "started_at": "2026-06-21T12:00:32Z", "switched_at": null, "inverter_read_at": "2026-06-21T12:00:32Z", "pv_w": 8001.0, "has_battery": true, "battery_first": false, "supporting": false, "weighed_at": "2026-06-21T12:00:32Z", "missed_wh": {}, "missed_step_wh": 0.0, "unknown_since": null, "car_phases": null}');
INSERT INTO "cycles" VALUES('home','2026-06-21 12:01:00.000000','2026-06-21 12:01:02.000000','run 2','held','10 A x 3: surplus 7.2 to 13.9 kW = car 0.0 to 6.7 + export 7.2 + battery 0.0','solar',8002.0,7802.0,7200.0,0.0,55.0,0.0,5.0,0,2,10546.5,10,3,7000.25,4000.5,3000.0,2900.0,0.1,'{"setpoint_a": 10, "phases": 3, "pushed_at": "2026-06-21T12:00:32Z", "asked_a": null, "asked_phases": 3, "asked_at": null, "in_doubt": false, "elsewhere_a": null, "before_a": 0, "before_phases": 3, "changed_at": "2026-06-21T12:00:32Z", "raised_at": "2026-06-21T12:00:32Z", "started_at": "2026-06-21T12:00:32Z", "switched_at": null, "inverter_read_at": "2026-06-21T12:01:02Z", "pv_w": 8002.0, "has_battery": true, "battery_first": false, "supporting": false, "weighed_at": "2026-06-21T12:01:02Z", "missed_wh": {}, "missed_step_wh": 0.0, "unknown_since": null, "car_phases": null}');
INSERT INTO "cycles" VALUES('home','2026-06-21 12:01:30.000000','2026-06-21 12:01:32.000000','run 3','pushed','11 A x 3: surplus 7.8 kW = car 6.7 + export 1.1 + battery 0.0','solar',8003.0,7803.0,1100.0,0.0,55.0,6200.0,5.0,3,3,7.79299999999999909059e+03,11,3,7000.25,4000.5,3000.0,2900.0,1.50000000000000022204e-01,'{"setpoint_a": 11, "phases": 3, "pushed_at": "2026-06-21T12:01:32Z", "asked_a": null, "asked_phases": 3, "asked_at": null, "in_doubt": false, "elsewhere_a": null, "before_a": 10, "before_phases": 3, "changed_at": "2026-06-21T12:01:32Z", "raised_at": "2026-06-21T12:01:32Z", "started_at": "2026-06-21T12:00:32Z", "switched_at": null, "inverter_read_at": "2026-06-21T12:01:32Z", "pv_w": 8003.0, "has_battery": true, "battery_first": false, "supporting": false, "weighed_at": "2026-06-21T12:01:32Z", "missed_wh": {"0": 0.0}, "missed_step_wh": 0.0, "unknown_since": null, "car_phases": null}');
CREATE TABLE daily_energy (
	site VARCHAR NOT NULL, 
	day DATE NOT NULL, 
	time_zone VARCHAR NOT NULL, 
	currency VARCHAR, 
	pv_kwh FLOAT NOT NULL, 
	import_kwh FLOAT NOT NULL, 
	discharge_kwh FLOAT NOT NULL, 
	house_kwh FLOAT NOT NULL, 
	car_kwh FLOAT NOT NULL, 
	export_kwh FLOAT NOT NULL, 
	charge_kwh FLOAT NOT NULL, 
	losses_kwh FLOAT NOT NULL, 
	car_from_sun_kwh FLOAT NOT NULL, 
	car_from_battery_kwh FLOAT NOT NULL, 
	car_from_grid_kwh FLOAT NOT NULL, 
	period_s FLOAT NOT NULL, 
	measured_s FLOAT NOT NULL, 
	grid_unknown_s FLOAT NOT NULL, 
	car_unknown_s FLOAT NOT NULL, 
	charging_s FLOAT NOT NULL, 
	longest_gap_s FLOAT NOT NULL, 
	starts INTEGER NOT NULL, 
	phase_changes INTEGER NOT NULL, 
	cycles INTEGER NOT NULL, 
	cycles_failed INTEGER NOT NULL, 
	cycles_missed INTEGER NOT NULL, 
	meter_import_kwh FLOAT, 
	meter_import_gaps_kwh FLOAT, 
	meter_export_kwh FLOAT, 
	meter_export_gaps_kwh FLOAT, 
	battery_charged_kwh FLOAT, 
	battery_charged_gaps_kwh FLOAT, 
	battery_discharged_kwh FLOAT, 
	battery_discharged_gaps_kwh FLOAT, 
	import_sampled_kwh FLOAT, 
	export_sampled_kwh FLOAT, 
	charge_sampled_kwh FLOAT, 
	discharge_sampled_kwh FLOAT, 
	charger_session_kwh FLOAT, 
	charger_session_gaps_kwh FLOAT, 
	import_cost FLOAT, 
	export_income FLOAT, 
	car_grid_cost FLOAT, 
	saved FLOAT, 
	PRIMARY KEY (site, day, time_zone)
);
INSERT INTO "daily_energy" VALUES('home','2026-06-20','Europe/Stockholm','SEK',42.5,1.5,0.0,10.0,20.0,14.0,0.0,0.0,18.5,0.0,1.5,86400.0,86370.0,0.0,0.0,0.0,0.0,3,0,2880,0,0,1.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1.4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,27.75);
CREATE TABLE last_cycles (
	site VARCHAR NOT NULL, 
	scheduled_at DATETIME NOT NULL, 
	PRIMARY KEY (site)
);
INSERT INTO "last_cycles" VALUES('home','2026-06-21 12:01:30.000000');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(4);
CREATE INDEX ix_boosts_site ON boosts (site);
CREATE INDEX ix_cycles_site_at ON cycles (site, at);
COMMIT;
