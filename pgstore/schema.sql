-- The tables of package pgstore. Store.Migrate runs this as one transaction, whenever a program starts; where the program's
-- role may create no tables, somebody else runs it with psql.

SELECT pg_advisory_xact_lock(4712385217740930); -- programs that start together take turns: IF NOT EXISTS alone can fail then

CREATE TABLE IF NOT EXISTS authcode_records (
  key text COLLATE "C" PRIMARY KEY, -- "C" sorts by bytes, so that the keys with one prefix are neighbours
  version text COLLATE "C" NOT NULL,
  data bytea NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS authcode_records_expires_at ON authcode_records (expires_at); -- for Store.Clean

-- Not unlogged: after a crash, too, nobody is to use a refresh token whose successor another replica could not write yet.
CREATE TABLE IF NOT EXISTS authcode_leases (
  key text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  expires_at timestamptz NOT NULL
);
