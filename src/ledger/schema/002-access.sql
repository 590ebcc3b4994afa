-- Who may use the API, which keys of peers were seen, and what arrivals take of this site.

-- Of a token only its SHA-256 is here: whoever reads the ledger cannot use the API with it.
CREATE TABLE api_token (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('read', 'operate', 'admin')),
  digest TEXT NOT NULL UNIQUE,        -- SHA-256 of the token, hexadecimal
  origin TEXT NOT NULL CHECK (origin IN ('file', 'api')),
  created_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  last_used_at TEXT                   -- to the minute or so
) STRICT;

-- The highest generation of its link key that a peer has proved: older ones are refused.
CREATE TABLE peer_key (
  fingerprint TEXT PRIMARY KEY,       -- of the peer's site certificate
  generation INTEGER NOT NULL,
  seen_at TEXT NOT NULL
) STRICT;

-- What the machine of an accepted offer takes here: quotas of a peer are counted over these.
CREATE TABLE acceptance (
  migration_id TEXT PRIMARY KEY REFERENCES migration (id),
  memory_bytes INTEGER NOT NULL,
  disk_bytes INTEGER NOT NULL
) STRICT;

CREATE INDEX audit_by_kind ON audit (kind, number);
