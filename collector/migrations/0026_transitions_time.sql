-- What changed lately is asked for every few seconds: by when a step was made, whatever the incident.
ALTER TABLE transitions ADD INDEX IF NOT EXISTS made time TYPE minmax GRANULARITY 1
