-- Prefect's database is created by POSTGRES_DB; this is the history's.
CREATE DATABASE history;
